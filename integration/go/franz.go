package main

import (
	"context"
	"errors"
	"sort"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// franz adapts twmb/franz-go.
type franz struct{}

var background = context.Background()

func (franz) client(opts ...kgo.Opt) *kgo.Client {
	return got(kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(bootstrap),
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.MetadataMaxAge(500 * time.Millisecond),
	}, opts...)...))
}

func (franz) Traits() Traits { return Traits{Idempotent: true} }

func (franz) Code(err error) (int16, bool) {
	var known *kerr.Error
	if errors.As(err, &known) {
		return known.Code, true
	}
	return 0, false
}

type franzProducer struct{ *kgo.Client }

func (f franz) Producer(o ProducerOptions) Producer {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	opts := []kgo.Opt{}
	if o.Codec != "" {
		opts = append(opts, kgo.ProducerBatchCompression(codecs[o.Codec]))
	}
	if o.MaxBytes != 0 {
		opts = append(opts, kgo.ProducerBatchMaxBytes(int32(o.MaxBytes)), kgo.ProducerBatchCompression(kgo.NoCompression()))
	}
	if o.ByPartition {
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	return franzProducer{f.client(opts...)}
}

func (p franzProducer) Produce(records ...Record) error {
	return p.ProduceSync(background, toFranz(records)...).FirstErr()
}

func toFranz(records []Record) []*kgo.Record {
	var batch []*kgo.Record
	for _, r := range records {
		out := &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value}
		if r.TimestampMs != 0 {
			out.Timestamp = time.UnixMilli(r.TimestampMs)
		}
		for _, h := range r.Headers {
			out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		batch = append(batch, out)
	}
	return batch
}

// Forget: franz-go stays with the id of a topic until it is purged.
func (p franzProducer) Forget(topic string) { p.PurgeTopicsFromClient(topic) }

func fromFranz(r *kgo.Record) Record {
	in := Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, TimestampMs: r.Timestamp.UnixMilli()}
	for _, h := range r.Headers {
		in.Headers = append(in.Headers, Header{h.Key, h.Value})
	}
	return in
}

type franzReader struct {
	*kgo.Client
	read []*kgo.Record
}

func (f franz) Reader(topic string, partition int32, at Position) Reader {
	offset := kgo.NewOffset().AtStart()
	switch at.Kind {
	case "end":
		offset = kgo.NewOffset().AtEnd()
	case "offset":
		offset = kgo.NewOffset().At(at.Value)
	case "time":
		offset = kgo.NewOffset().AfterMilli(at.Value)
	}
	resets := map[string]kgo.Offset{
		"": kgo.NoResetOffset(), "earliest": kgo.NewOffset().AtStart(), "latest": kgo.NewOffset().AtEnd(),
	}
	isolation := kgo.ReadUncommitted()
	if at.Committed {
		isolation = kgo.ReadCommitted()
	}
	return &franzReader{Client: f.client(
		kgo.FetchIsolationLevel(isolation),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: offset}}),
		kgo.ConsumeResetOffset(resets[at.Reset]),
		kgo.FetchMaxWait(200*time.Millisecond),
	)}
}

func (r *franzReader) Next() (Record, error) {
	for len(r.read) == 0 {
		fetches := r.PollFetches(background)
		if err := fetches.Err(); err != nil {
			return Record{}, err
		}
		r.read = fetches.Records()
	}
	next := r.read[0]
	r.read = r.read[1:]
	return fromFranz(next), nil
}

type franzMember struct {
	*kgo.Client
	o          GroupOptions
	mu         sync.Mutex
	assigned   map[string]bool
	rebalances int
	err        error
	stop       context.CancelFunc
	stopped    chan struct{}
}

func (f franz) Join(o GroupOptions) Member {
	ctx, stop := context.WithCancel(background)
	m := &franzMember{o: o, assigned: map[string]bool{}, stop: stop, stopped: make(chan struct{})}
	resets := map[string]kgo.Offset{
		"": kgo.NewOffset().AtStart(), "earliest": kgo.NewOffset().AtStart(), "latest": kgo.NewOffset().AtEnd(),
		"none": kgo.NoResetOffset(),
	}
	opts := []kgo.Opt{
		kgo.ConsumerGroup(o.Group),
		kgo.ConsumeResetOffset(resets[o.Reset]),
		kgo.HeartbeatInterval(100 * time.Millisecond),
		kgo.FetchMaxWait(200 * time.Millisecond),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(m.onAssigned),
		kgo.OnPartitionsRevoked(m.onRevoked),
		kgo.OnPartitionsLost(m.onLost),
	}
	if o.Pattern != "" {
		opts = append(opts, kgo.ConsumeTopics(o.Pattern), kgo.ConsumeRegex())
	} else {
		opts = append(opts, kgo.ConsumeTopics(o.Topic))
	}
	if o.Cooperative {
		opts = append(opts, kgo.Balancers(kgo.CooperativeStickyBalancer()))
	} else {
		opts = append(opts, kgo.Balancers(kgo.RangeBalancer()))
	}
	if o.New {
		opts = append(opts, kgo.ServerSideBalancer())
	}
	if o.Instance != "" {
		opts = append(opts, kgo.InstanceID(o.Instance))
	}
	if o.Commit == "auto" {
		opts = append(opts, kgo.AutoCommitInterval(200*time.Millisecond))
	} else {
		opts = append(opts, kgo.DisableAutoCommit())
	}
	m.Client = f.client(opts...)
	go m.run(ctx)
	return m
}

func (m *franzMember) run(ctx context.Context) {
	defer close(m.stopped)
	for {
		fetches := m.PollFetches(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			m.AllowRebalance()
			return
		}
		fetches.EachError(func(_ string, _ int32, err error) {
			var known *kerr.Error
			if errors.As(err, &known) && !known.Retriable {
				m.fail(err)
			}
		})
		fetches.EachRecord(func(r *kgo.Record) { m.o.Handle(fromFranz(r)) })
		if m.o.Commit == "each" && !fetches.Empty() {
			if err := m.CommitUncommittedOffsets(ctx); err != nil && ctx.Err() == nil {
				m.fail(err)
			}
		}
		m.AllowRebalance()
	}
}

func (m *franzMember) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.err = err
	}
}

func (m *franzMember) onAssigned(_ context.Context, _ *kgo.Client, given map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rebalances++
	for topic, partitions := range given {
		for _, p := range partitions {
			m.assigned[place(topic, p)] = true
		}
	}
}

func (m *franzMember) onRevoked(ctx context.Context, cl *kgo.Client, taken map[string][]int32) {
	if m.o.Commit == "each" {
		if err := cl.CommitUncommittedOffsets(ctx); err != nil {
			m.fail(err)
		}
	}
	m.onLost(ctx, cl, taken)
}

func (m *franzMember) onLost(_ context.Context, _ *kgo.Client, taken map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for topic, partitions := range taken {
		for _, p := range partitions {
			delete(m.assigned, place(topic, p))
		}
	}
}

func (m *franzMember) Assigned() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return sorted(m.assigned)
}

func sorted(set map[string]bool) []string {
	var names []string
	for name := range set {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func (m *franzMember) Rebalances() int { m.mu.Lock(); defer m.mu.Unlock(); return m.rebalances }
func (m *franzMember) Err() error      { m.mu.Lock(); defer m.mu.Unlock(); return m.err }

func (m *franzMember) Commit(topic string, partition int32, next int64, metadata string) error {
	ctx := background
	if metadata != "" {
		ctx = kgo.PreCommitFnContext(ctx, func(request *kmsg.OffsetCommitRequest) error {
			request.Topics[0].Partitions[0].Metadata = &metadata
			return nil
		})
	}
	var failed error
	m.CommitOffsetsSync(ctx, franzOffset(topic, partition, next), onCommit(func(err error) { failed = err }))
	return failed
}

func (m *franzMember) CommitAsync(topic string, partition int32, next int64) error {
	m.CommitOffsets(background, franzOffset(topic, partition, next), onCommit(func(err error) { must(err) }))
	return nil
}

func franzOffset(topic string, partition int32, next int64) map[string]map[int32]kgo.EpochOffset {
	return map[string]map[int32]kgo.EpochOffset{topic: {partition: {Epoch: -1, Offset: next}}}
}

func onCommit(done func(error)) func(*kgo.Client, *kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse, error) {
	return func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
		if err == nil {
			err = kerr.ErrorForCode(response.Topics[0].Partitions[0].ErrorCode)
		}
		done(err)
	}
}

func (m *franzMember) Pause(topic string, partition int32) error {
	m.PauseFetchPartitions(map[string][]int32{topic: {partition}})
	return nil
}

func (m *franzMember) Resume(topic string, partition int32) error {
	m.ResumeFetchPartitions(map[string][]int32{topic: {partition}})
	return nil
}

func (m *franzMember) Forget(topic string) {
	m.PurgeTopicsFromClient(topic)
	m.AddConsumeTopics(topic)
}

func (m *franzMember) Close() {
	m.stop()
	<-m.stopped
	m.CloseAllowingRebalance()
}

type franzAdmin struct{ *kadm.Client }

func (f franz) Admin() Admin { return franzAdmin{kadm.NewClient(f.client())} }

func (a franzAdmin) Create(topic string, partitions int32, configs map[string]string) error {
	values := map[string]*string{}
	for k, v := range configs {
		values[k] = &v
	}
	_, err := a.CreateTopic(background, partitions, 1, values, topic)
	return err
}

func (a franzAdmin) Grow(topic string, total int32) error {
	return first(a.UpdatePartitions(background, int(total), topic))(func(r kadm.CreatePartitionsResponses) error { return r[topic].Err })
}

func (a franzAdmin) Delete(topic string) error {
	return first(a.DeleteTopics(background, topic))(func(r kadm.DeleteTopicResponses) error { return r[topic].Err })
}

// first is the error of the call, or else the one inside its answer.
func first[T any](answer T, err error) func(func(T) error) error {
	return func(inside func(T) error) error {
		if err != nil {
			return err
		}
		return inside(answer)
	}
}

func (a franzAdmin) Partitions(topic string) (int, error) {
	details, err := a.ListTopics(background, topic)
	return len(details[topic].Partitions), err
}

func (a franzAdmin) Topics() ([]string, error) {
	details, err := a.ListTopics(background)
	return details.Names(), err
}

func (a franzAdmin) Config(topic, key string) (string, error) {
	configs, err := a.DescribeTopicConfigs(background, topic)
	if err != nil {
		return "", err
	}
	for _, c := range configs[0].Configs {
		if c.Key == key {
			return c.MaybeValue() + " " + c.Source.String(), configs[0].Err
		}
	}
	return "", errors.New("no such key")
}

func (a franzAdmin) SetConfig(topic, key, value string) error {
	return first(a.AlterTopicConfigs(background, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, topic))(
		func(r kadm.AlterConfigsResponses) error { return r[0].Err })
}

func (a franzAdmin) Offset(topic string, partition int32, timeMs int64) (int64, error) {
	list := a.ListOffsetsAfterMilli
	var offsets kadm.ListedOffsets
	var err error
	switch timeMs {
	case -1:
		offsets, err = a.ListEndOffsets(background, topic)
	case -2:
		offsets, err = a.ListStartOffsets(background, topic)
	default:
		offsets, err = list(background, timeMs, topic)
	}
	if err == nil {
		err = offsets.Error()
	}
	o, _ := offsets.Lookup(topic, partition)
	return o.Offset, err
}

func (a franzAdmin) DeleteRecords(topic string, partition int32, before int64) error {
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: topic, Partition: partition, At: before, LeaderEpoch: -1})
	return first(a.Client.DeleteRecords(background, offsets))(func(r kadm.DeleteRecordsResponses) error { return r.Error() })
}

func (a franzAdmin) Groups() ([]string, error) {
	listed, err := a.ListGroups(background)
	return listed.Groups(), err
}

func (a franzAdmin) GroupState(group string) (string, int, error) {
	described, err := a.DescribeGroups(background, group)
	return described[group].State, len(described[group].Members), err
}

func (a franzAdmin) DeleteGroup(group string) error {
	return first(a.DeleteGroups(background, group))(func(r kadm.DeleteGroupResponses) error { return r[group].Err })
}

func (a franzAdmin) Committed(group, topic string) (map[int32]Committed, error) {
	fetched, err := a.FetchOffsets(background, group)
	offsets := map[int32]Committed{}
	for partition, o := range fetched[topic] {
		offsets[partition] = Committed{o.At, o.Metadata}
	}
	return offsets, err
}

func (a franzAdmin) CommitFor(group, topic string, partition int32, next int64) error {
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: topic, Partition: partition, At: next, LeaderEpoch: -1})
	return first(a.CommitOffsets(background, group, offsets))(func(r kadm.OffsetResponses) error { return r.Error() })
}

func (a franzAdmin) Brokers() (int, bool, error) {
	cluster, err := a.BrokerMetadata(background)
	known := false
	for _, b := range cluster.Brokers {
		known = known || b.NodeID == cluster.Controller
	}
	return len(cluster.Brokers), known, err
}
