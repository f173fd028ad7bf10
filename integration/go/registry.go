package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"sort"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

// Of franz-go's schema registry client: each of its calls, and its serde with records that go through a topic.
var registries = map[string]func(){
	"calls":  registryCalls,
	"serde":  registrySerde,
	"scopes": registryContexts,
}

const (
	avroInt  = `{"type":"record","name":"R","fields":[{"name":"x","type":"int"}]}`
	avroLong = `{"type":"record","name":"R","fields":[{"name":"x","type":"long"}]}`
	avroText = `{"type":"record","name":"R","fields":[{"name":"x","type":"string"}]}`
)

func registry(opts ...sr.ClientOpt) *sr.Client {
	return got(sr.NewClient(append([]sr.ClientOpt{sr.URLs(os.Getenv("REGISTRY"))}, opts...)...))
}

// tell prints what a call gave: its value as JSON, without what only the registry chooses; or its error's status and code.
func tell(what string, value any, err error) {
	var refused *sr.ResponseError
	switch {
	case errors.As(err, &refused):
		say("%s: %d %d", what, refused.StatusCode, refused.ErrorCode)
	case err != nil:
		say("%s: %v", what, err)
	default:
		text := got(json.Marshal(value))
		var plain any
		must(json.Unmarshal(text, &plain))
		say("%s: %s", what, got(json.Marshal(withoutChosen(plain))))
	}
}

func withoutChosen(value any) any {
	switch value := value.(type) {
	case map[string]any:
		delete(value, "guid")
		for key, inner := range value {
			value[key] = withoutChosen(inner)
		}
	case []any:
		for index, inner := range value {
			value[index] = withoutChosen(inner)
		}
	}
	return value
}

func call[T any](what string) func(T, error) T {
	return func(value T, err error) T { tell(what, value, err); return value }
}

func registryCalls() {
	cl, ctx := registry(), context.Background()
	registryWrites(cl, ctx)
	registryReads(cl, ctx)
	registrySettings(cl, ctx)
	registryDeletes(cl, ctx)
}

func registryWrites(cl *sr.Client, ctx context.Context) {
	call[[]sr.SchemaType]("types")(cl.SupportedTypes(ctx))
	call[sr.SubjectSchema]("create")(cl.CreateSchema(ctx, "s", sr.Schema{Schema: avroInt}))
	call[sr.SubjectSchema]("create again")(cl.CreateSchema(ctx, "s", sr.Schema{Schema: avroInt}))
	call[sr.SubjectSchema]("create a newer one")(cl.CreateSchema(ctx, "s", sr.Schema{Schema: avroLong}))
	call[sr.SubjectSchema]("create what does not fit")(cl.CreateSchema(ctx, "s", sr.Schema{Schema: avroText}))
	call[int]("register")(cl.RegisterSchema(ctx, "t", sr.Schema{Schema: avroInt}, -1, -1))
	call[int]("register no schema")(cl.RegisterSchema(ctx, "t", sr.Schema{Schema: "{"}, -1, -1))
	call[int]("register with an id")(cl.RegisterSchema(ctx, "t", sr.Schema{Schema: avroLong}, 500, 3))
	refers := sr.Schema{Schema: `["null","R"]`, References: []sr.SchemaReference{{Name: "R", Subject: "s", Version: 1}}}
	call[sr.SubjectSchema]("create with a reference")(cl.CreateSchema(ctx, "u", refers))
	contract := sr.Schema{
		Schema:         avroInt,
		SchemaMetadata: &sr.SchemaMetadata{Properties: map[string]string{"owner": "me"}},
		SchemaRuleSet: &sr.SchemaRuleSet{DomainRules: []sr.SchemaRule{{
			Name: "r", Kind: sr.SchemaRuleKindCondition, Mode: sr.SchemaRuleModeWrite, Type: "CEL", Expr: "true",
		}}},
	}
	call[sr.SubjectSchema]("create a contract")(cl.CreateSchema(ctx, "c", contract))
	proto := sr.Schema{Type: sr.TypeProtobuf, Schema: "syntax = \"proto3\";\nmessage M {\n  string a = 1;\n}\n"}
	call[sr.SubjectSchema]("create Protobuf")(cl.CreateSchema(ctx, "p", proto))
	call[sr.SubjectSchema]("create JSON")(cl.CreateSchema(ctx, "j", sr.Schema{Type: sr.TypeJSON, Schema: `{"type":"object"}`}))
}

func registryReads(cl *sr.Client, ctx context.Context) {
	call[[]string]("subjects")(cl.Subjects(ctx))
	call[[]string]("subjects with a prefix")(cl.Subjects(sr.WithParams(ctx, sr.SubjectPrefix("s"))))
	call[[]string]("a page of subjects")(cl.Subjects(sr.WithParams(ctx, sr.Offset(1), sr.Limit(2))))
	found := call[sr.SubjectSchema]("look up")(cl.LookupSchema(ctx, "s", sr.Schema{Schema: avroInt}))
	call[sr.SubjectSchema]("look up what is not there")(cl.LookupSchema(ctx, "s", sr.Schema{Schema: avroText}))
	call[sr.Schema]("by id")(cl.SchemaByID(ctx, found.ID))
	call[sr.Schema]("by an id that is none")(cl.SchemaByID(ctx, 9999))
	call[sr.Schema]("by id, the greatest too")(cl.SchemaByID(sr.WithParams(ctx, sr.FetchMaxID), found.ID))
	call[string]("text by id")(cl.SchemaTextByID(ctx, found.ID))
	call[sr.SubjectSchema]("by guid")(cl.SchemaByGUID(ctx, found.GUID))
	call[[]sr.ContextID]("ids by guid")(cl.SchemaIDsByGUID(ctx, found.GUID))
	call[[]string]("subjects by id")(cl.SubjectsByID(ctx, found.ID))
	call[[]sr.SubjectVersion]("versions by id")(cl.SchemaVersionsByID(ctx, found.ID))
	tell("usages by id", bySubject(got(cl.SchemaUsagesByID(ctx, found.ID))), nil)
	call[[]int]("versions")(cl.SubjectVersions(ctx, "s"))
	call[[]int]("versions of nobody")(cl.SubjectVersions(ctx, "nobody"))
	call[sr.SubjectSchema]("version 1")(cl.SchemaByVersion(ctx, "s", 1))
	call[sr.SubjectSchema]("the latest")(cl.SchemaByVersion(ctx, "s", -1))
	call[sr.SubjectSchema]("version 9")(cl.SchemaByVersion(ctx, "s", 9))
	call[string]("text of version 2")(cl.SchemaTextByVersion(ctx, "s", 2))
	call[string]("text of Protobuf")(cl.SchemaTextByVersion(ctx, "p", 1))
	tell("schemas of a subject", bySubject(got(cl.Schemas(ctx, "s"))), nil)
	tell("all schemas", bySubject(got(cl.AllSchemas(ctx))), nil)
	tell("references", bySubject(got(cl.SchemaReferences(ctx, "s", 1))), nil)
	check := func(what string, version int, text string, params ...sr.Param) {
		call[sr.CheckCompatibilityResult](what)(cl.CheckCompatibility(sr.WithParams(ctx, params...), "s", version, sr.Schema{Schema: text}))
	}
	check("compatible with the latest", -1, avroLong)
	check("not compatible with version 1", 1, avroText, sr.Verbose)
	check("not compatible with all", -2, avroText, sr.Verbose)
	check("not compatible, said shortly", -2, avroText)
}

// The client asks for several at once, and puts them together as they come.
func bySubject(all []sr.SubjectSchema) []sr.SubjectSchema {
	sort.Slice(all, func(i, j int) bool {
		return all[i].Subject+string(rune(all[i].Version)) < all[j].Subject+string(rune(all[j].Version))
	})
	return all
}

func registrySettings(cl *sr.Client, ctx context.Context) {
	levels := func(what string, results []sr.CompatibilityResult) {
		for _, result := range results {
			if result.Err != nil {
				tell(what+" of "+result.Subject, nil, result.Err)
				continue
			}
			say("%s of %s: %s, alias %q, normalize %v, group %q", what, result.Subject, result.Level, result.Alias, result.Normalize, result.Group)
		}
	}
	modes := func(what string, results []sr.ModeResult) {
		for _, result := range results {
			if result.Err != nil {
				tell(what+" of "+result.Subject, nil, result.Err)
				continue
			}
			say("%s of %s: %s", what, result.Subject, result.Mode)
		}
	}
	levels("compatibility", cl.Compatibility(ctx, sr.GlobalSubject, "s"))
	levels("compatibility with the global one", cl.Compatibility(sr.WithParams(ctx, sr.DefaultToGlobal), "s"))
	levels("set", cl.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatFullTransitive}, sr.GlobalSubject))
	levels("set", cl.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatNone, Alias: "t", Normalize: true, Group: "major"}, "s"))
	levels("compatibility", cl.Compatibility(ctx, sr.GlobalSubject, "s"))
	levels("reset", cl.ResetCompatibility(ctx, "s", sr.GlobalSubject))
	levels("compatibility", cl.Compatibility(ctx, sr.GlobalSubject, "s"))
	modes("mode", cl.Mode(ctx, sr.GlobalSubject, "s"))
	modes("set mode", cl.SetMode(ctx, sr.ModeReadOnly, "s"))
	call[int]("register in what is read only")(cl.RegisterSchema(ctx, "s", sr.Schema{Schema: avroText}, -1, -1))
	modes("mode", cl.Mode(ctx, sr.GlobalSubject, "s"))
	modes("reset mode", cl.ResetMode(ctx, "s"))
	modes("set mode", cl.SetMode(ctx, sr.ModeImport, "i"))
	call[sr.SubjectSchema]("create with id and version")(cl.CreateSchemaWithIDAndVersion(ctx, "i", sr.Schema{Schema: avroText}, 700, 4))
	modes("reset mode", cl.ResetMode(ctx, "i"))
}

func registryDeletes(cl *sr.Client, ctx context.Context) {
	tell("delete what is referred to", nil, cl.DeleteSchema(ctx, "s", 1, sr.SoftDelete))
	tell("delete for good what is not deleted", nil, cl.DeleteSchema(ctx, "s", 2, sr.HardDelete))
	tell("delete version 2", nil, cl.DeleteSchema(ctx, "s", 2, sr.SoftDelete))
	call[[]int]("versions")(cl.SubjectVersions(ctx, "s"))
	call[[]int]("versions, deleted ones too")(cl.SubjectVersions(sr.WithParams(ctx, sr.ShowDeleted), "s"))
	call[[]int]("deleted versions")(cl.SubjectVersions(sr.WithParams(ctx, sr.DeletedOnly), "s"))
	tell("delete version 2 for good", nil, cl.DeleteSchema(ctx, "s", 2, sr.HardDelete))
	for _, subject := range []string{"u", "s", "nobody"} {
		call[[]int]("delete " + subject)(cl.DeleteSubject(ctx, subject, sr.SoftDelete))
	}
	call[[]string]("deleted subjects")(cl.Subjects(sr.WithParams(ctx, sr.DeletedOnly)))
	for _, subject := range []string{"u", "s"} {
		call[[]int]("delete for good " + subject)(cl.DeleteSubject(ctx, subject, sr.HardDelete))
	}
	call[[]string]("subjects, deleted ones too")(cl.Subjects(sr.WithParams(ctx, sr.ShowDeleted)))
}

// registryContexts has a client whose subjects are all in a context.
func registryContexts() {
	cl, ctx := registry(sr.DefaultSchemaContext(".scope"), sr.BasicAuth("nobody", "asks")), context.Background()
	call[sr.SubjectSchema]("create")(cl.CreateSchema(ctx, "s", sr.Schema{Schema: avroInt}))
	call[sr.SubjectSchema]("the latest")(cl.SchemaByVersion(ctx, "s", -1))
	call[[]string]("subjects")(cl.Subjects(ctx))
	call[[]string]("contexts")(registry().Contexts(ctx))
	call[[]string]("contexts with a prefix")(registry().Contexts(sr.WithParams(ctx, sr.ContextPrefix(".s"))))
	call[[]int]("delete")(cl.DeleteSubject(ctx, "s", sr.SoftDelete))
	call[[]int]("delete for good")(cl.DeleteSubject(ctx, "s", sr.HardDelete))
	tell("delete the context", nil, registry().DeleteContext(ctx, ".scope"))
	call[[]string]("contexts")(registry().Contexts(ctx))
	var raw any
	tell("do", raw, registry().Do(ctx, http.MethodGet, "/schemas/types", nil, &raw))
}

type order struct {
	Item string `json:"item"`
}

// registrySerde sends records whose frames sr makes, and reads them by the id in the frame.
func registrySerde() {
	cl, ctx, topic := registry(), context.Background(), named("serde")
	created := got(cl.CreateSchema(ctx, topic+"-value", sr.Schema{Type: sr.TypeJSON, Schema: `{"type":"object","properties":{"item":{"type":"string"}}}`}))
	serde := sr.NewSerde()
	serde.Register(created.ID, order{}, sr.EncodeFn(json.Marshal), sr.DecodeFn(json.Unmarshal))
	producer := got(kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.AllowAutoTopicCreation(), kgo.ConsumeTopics(topic)))
	defer producer.Close()
	for _, item := range []string{"tea", "milk"} {
		record := &kgo.Record{Topic: topic, Value: serde.MustEncode(order{item})}
		must(producer.ProduceSync(ctx, record).FirstErr())
	}
	var items []string
	for len(items) < 2 {
		for _, record := range producer.PollFetches(ctx).Records() {
			id, _, err := serde.DecodeID(record.Value)
			must(err)
			text := got(cl.SchemaTextByID(ctx, id))
			var read order
			must(serde.Decode(record.Value, &read))
			items = append(items, read.Item+" by "+text)
		}
	}
	say("%s", strings.Join(items, "; "))
}
