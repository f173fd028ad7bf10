package main

import (
	"context"
	"errors"
	"log"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
)

// kafkaGo adapts segmentio/kafka-go.
type kafkaGo struct{}

func (kafkaGo) Traits() Traits { return Traits{Revives: true} }

func (kafkaGo) Code(err error) (int16, bool) {
	var writes kafka.WriteErrors
	if errors.As(err, &writes) {
		for _, e := range writes {
			if e != nil {
				err = e
			}
		}
	}
	var known kafka.Error
	if errors.As(err, &known) {
		return int16(known), true
	}
	return 0, false
}

type kafkaGoProducer struct {
	*kafka.Writer
	again bool
}

// byPartition sends each message to the partition that it carries.
func byPartition(m kafka.Message, _ ...int) int { return int(m.WriterData.(int32)) }

func (kafkaGo) Producer(o ProducerOptions) Producer {
	w := &kafka.Writer{
		Addr:         kafka.TCP(bootstrap),
		RequiredAcks: kafka.RequireAll,
		BatchSize:    10_000,
		BatchTimeout: 5 * time.Millisecond,
		Transport:    &kafka.Transport{MetadataTTL: time.Second},
	}
	if o.Codec != "" && o.Codec != "none" {
		var codec compress.Compression
		must(codec.UnmarshalText([]byte(o.Codec)))
		w.Compression = codec
	}
	if o.ByPartition {
		w.Balancer = kafka.BalancerFunc(byPartition)
	}
	if o.MaxBytes != 0 {
		w.BatchBytes = int64(o.MaxBytes)
	}
	if o.RetryForever {
		w.MaxAttempts = 1000
	}
	return kafkaGoProducer{w, o.RetryForever}
}

func (p kafkaGoProducer) Produce(records ...Record) error {
	var batch []kafka.Message
	for _, r := range records {
		out := kafka.Message{Topic: r.Topic, Key: r.Key, Value: r.Value, WriterData: r.Partition}
		if r.TimestampMs != 0 {
			out.Time = time.UnixMilli(r.TimestampMs)
		}
		for _, h := range r.Headers {
			out.Headers = append(out.Headers, kafka.Header{Key: h.Key, Value: h.Value})
		}
		batch = append(batch, out)
	}
	err := p.WriteMessages(background, batch...)
	var failed kafka.WriteErrors
	for p.again && errors.As(err, &failed) {
		// Some errors of a restart, such as a partition without leader, are left to the user.
		var left []kafka.Message
		for i, e := range failed {
			if e != nil {
				left = append(left, batch[i])
			}
		}
		batch = left
		err = p.WriteMessages(background, batch...)
	}
	return err
}

func (kafkaGoProducer) Forget(string) {}

func (p kafkaGoProducer) Close() { must(p.Writer.Close()) }

func fromKafkaGo(m kafka.Message) Record {
	in := Record{Topic: m.Topic, Partition: int32(m.Partition), Offset: m.Offset, Key: m.Key, Value: m.Value, TimestampMs: m.Time.UnixMilli()}
	for _, h := range m.Headers {
		in.Headers = append(in.Headers, Header{h.Key, h.Value})
	}
	return in
}

type kafkaGoReader struct{ *kafka.Reader }

func newKafkaGoReader(topic string, partition int, strict bool) *kafka.Reader {
	return kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{bootstrap}, Topic: topic, Partition: partition,
		MaxWait: 200 * time.Millisecond, ReadBackoffMin: 5 * time.Millisecond, OffsetOutOfRangeError: strict,
	})
}

func (kafkaGo) Reader(topic string, partition int32, at Position) Reader {
	r := newKafkaGoReader(topic, int(partition), true)
	switch at.Kind {
	case "start":
		must(r.SetOffset(kafka.FirstOffset))
	case "end":
		must(r.SetOffset(kafka.LastOffset))
	case "offset":
		must(r.SetOffset(at.Value))
	case "time":
		must(r.SetOffsetAt(background, time.UnixMilli(at.Value)))
	}
	if at.Reset == "" {
		return kafkaGoReader{r}
	}
	// kafka-go leaves the reset to its user.
	to := map[string]int64{"earliest": kafka.FirstOffset, "latest": kafka.LastOffset}[at.Reset]
	_, err := r.ReadMessage(background)
	if errors.Is(err, kafka.OffsetOutOfRange) {
		must(r.SetOffset(to))
	} else {
		must(err)
	}
	return kafkaGoReader{r}
}

func (r kafkaGoReader) Next() (Record, error) {
	m, err := r.ReadMessage(background)
	return fromKafkaGo(m), err
}

func (r kafkaGoReader) Close() { must(r.Reader.Close()) }

// kafkaGoMember uses the library's ConsumerGroup: its Reader cannot commit before a partition goes to another member.
type kafkaGoMember struct {
	group      *kafka.ConsumerGroup
	o          GroupOptions
	mu         sync.Mutex
	generation *kafka.Generation
	assigned   map[string]bool
	rebalances int
	stop       context.CancelFunc
	stopped    chan struct{}
}

func (kafkaGo) Join(o GroupOptions) Member {
	if o.Reset == "none" {
		return nil
	}
	begin := kafka.FirstOffset
	if o.Reset == "latest" {
		begin = kafka.LastOffset
	}
	ctx, stop := context.WithCancel(background)
	m := &kafkaGoMember{o: o, stop: stop, stopped: make(chan struct{})}
	m.group = got(kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: o.Group, Brokers: []string{bootstrap}, Topics: []string{o.Topic}, StartOffset: begin,
		HeartbeatInterval: 100 * time.Millisecond, JoinGroupBackoff: 100 * time.Millisecond,
		WatchPartitionChanges: true, PartitionWatchInterval: 200 * time.Millisecond,
	}))
	go func() {
		defer close(m.stopped)
		for ctx.Err() == nil {
			generation, err := m.group.Next(ctx)
			if err != nil {
				log.Printf("kafka-go group: %v", err)
				continue
			}
			m.begin(generation)
		}
	}()
	return m
}

func (m *kafkaGoMember) begin(generation *kafka.Generation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.generation, m.assigned = generation, map[string]bool{}
	m.rebalances++
	for topic, partitions := range generation.Assignments {
		for _, a := range partitions {
			m.assigned[place(topic, int32(a.ID))] = true
			generation.Start(func(ctx context.Context) { m.consume(ctx, generation, topic, a) })
		}
	}
}

// consume handles one partition until its generation ends, which waits for it.
func (m *kafkaGoMember) consume(ctx context.Context, generation *kafka.Generation, topic string, a kafka.PartitionAssignment) {
	r := newKafkaGoReader(topic, a.ID, false)
	defer r.Close()
	must(r.SetOffset(a.Offset))
	for {
		message, err := r.ReadMessage(ctx)
		if err != nil {
			m.mu.Lock()
			if m.generation == generation {
				delete(m.assigned, place(topic, int32(a.ID)))
			}
			m.mu.Unlock()
			return
		}
		m.o.Handle(fromKafkaGo(message))
		if m.o.Commit != "manual" {
			if err := generation.CommitOffsets(map[string]map[int]int64{topic: {a.ID: message.Offset + 1}}); err != nil {
				log.Printf("kafka-go commit: %v", err)
			}
		}
	}
}

func (m *kafkaGoMember) Assigned() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return sorted(m.assigned)
}

func (m *kafkaGoMember) Rebalances() int { m.mu.Lock(); defer m.mu.Unlock(); return m.rebalances }
func (m *kafkaGoMember) Err() error      { return nil }

func (m *kafkaGoMember) Commit(topic string, partition int32, next int64, metadata string) error {
	m.mu.Lock()
	generation := m.generation
	m.mu.Unlock()
	answer, err := newKafkaGoClient().OffsetCommit(background, &kafka.OffsetCommitRequest{
		GroupID: m.o.Group, GenerationID: int(generation.ID), MemberID: generation.MemberID,
		Topics: map[string][]kafka.OffsetCommit{topic: {{Partition: int(partition), Offset: next, Metadata: metadata}}},
	})
	if err != nil {
		return err
	}
	return answer.Topics[topic][0].Error
}

func (m *kafkaGoMember) CommitAsync(string, int32, int64) error { return errAbsent }
func (m *kafkaGoMember) Pause(string, int32) error              { return errAbsent }
func (m *kafkaGoMember) Resume(string, int32) error             { return errAbsent }

func (m *kafkaGoMember) Forget(string) {}

func (m *kafkaGoMember) Close() {
	m.stop()
	<-m.stopped
	must(m.group.Close())
}

type kafkaGoAdmin struct{ *kafka.Client }

func newKafkaGoClient() *kafka.Client {
	return &kafka.Client{Addr: kafka.TCP(bootstrap), Timeout: 20 * time.Second, Transport: &kafka.Transport{MetadataTTL: 50 * time.Millisecond}}
}

func (kafkaGo) Admin() Admin { return kafkaGoAdmin{newKafkaGoClient()} }

func (a kafkaGoAdmin) Create(topic string, partitions int32, configs map[string]string) error {
	config := kafka.TopicConfig{Topic: topic, NumPartitions: int(partitions), ReplicationFactor: 1}
	for k, v := range configs {
		config.ConfigEntries = append(config.ConfigEntries, kafka.ConfigEntry{ConfigName: k, ConfigValue: v})
	}
	return first(a.CreateTopics(background, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{config}}))(
		func(r *kafka.CreateTopicsResponse) error { return r.Errors[topic] })
}

func (a kafkaGoAdmin) Grow(topic string, total int32) error {
	return first(a.CreatePartitions(background, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: total}}}))(
		func(r *kafka.CreatePartitionsResponse) error { return r.Errors[topic] })
}

func (a kafkaGoAdmin) Delete(topic string) error {
	return first(a.DeleteTopics(background, &kafka.DeleteTopicsRequest{Topics: []string{topic}}))(
		func(r *kafka.DeleteTopicsResponse) error { return r.Errors[topic] })
}

func (a kafkaGoAdmin) Partitions(topic string) (int, error) {
	answer, err := a.Metadata(background, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return 0, err
	}
	return len(answer.Topics[0].Partitions), answer.Topics[0].Error
}

func (a kafkaGoAdmin) Topics() ([]string, error) {
	answer, err := a.Metadata(background, &kafka.MetadataRequest{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, t := range answer.Topics {
		names = append(names, t.Name)
	}
	return names, nil
}

func (a kafkaGoAdmin) Config(topic, key string) (string, error) {
	answer, err := a.DescribeConfigs(background, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: []string{key}}}})
	if err != nil {
		return "", err
	}
	if answer.Resources[0].Error != nil {
		return "", answer.Resources[0].Error
	}
	return answer.Resources[0].ConfigEntries[0].ConfigValue, nil
}

func (a kafkaGoAdmin) SetConfig(topic, key, value string) error {
	return first(a.IncrementalAlterConfigs(background, &kafka.IncrementalAlterConfigsRequest{Resources: []kafka.IncrementalAlterConfigsRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
		Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: key, Value: value, ConfigOperation: kafka.ConfigOperationSet}}}}}))(
		func(r *kafka.IncrementalAlterConfigsResponse) error { return r.Resources[0].Error })
}

func (a kafkaGoAdmin) Offset(topic string, partition int32, timeMs int64) (int64, error) {
	answer, err := a.ListOffsets(background, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{
		topic: {{Partition: int(partition), Timestamp: timeMs}}}})
	if err != nil {
		return 0, err
	}
	p := answer.Topics[topic][0]
	switch timeMs {
	case -1:
		return p.LastOffset, p.Error
	case -2:
		return p.FirstOffset, p.Error
	}
	for offset := range p.Offsets {
		return offset, p.Error
	}
	return -1, p.Error
}

func (a kafkaGoAdmin) DeleteRecords(string, int32, int64) error { return errAbsent }

func (a kafkaGoAdmin) Groups() ([]string, error) {
	answer, err := a.ListGroups(background, &kafka.ListGroupsRequest{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, g := range answer.Groups {
		names = append(names, g.GroupID)
	}
	return names, answer.Error
}

func (a kafkaGoAdmin) GroupState(group string) (string, int, error) {
	answer, err := a.DescribeGroups(background, &kafka.DescribeGroupsRequest{GroupIDs: []string{group}})
	if err != nil {
		return "", 0, err
	}
	return answer.Groups[0].GroupState, len(answer.Groups[0].Members), answer.Groups[0].Error
}

func (a kafkaGoAdmin) DeleteGroup(group string) error {
	return first(a.DeleteGroups(background, &kafka.DeleteGroupsRequest{GroupIDs: []string{group}}))(
		func(r *kafka.DeleteGroupsResponse) error { return r.Errors[group] })
}

func (a kafkaGoAdmin) Committed(group, topic string) (map[int32]Committed, error) {
	count, err := a.Partitions(topic)
	if err != nil {
		return nil, err
	}
	request := &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{}}
	for p := range count {
		request.Topics[topic] = append(request.Topics[topic], p)
	}
	answer, err := a.OffsetFetch(background, request)
	if err != nil {
		return nil, err
	}
	offsets := map[int32]Committed{}
	for _, p := range answer.Topics[topic] {
		offsets[int32(p.Partition)] = Committed{p.CommittedOffset, p.Metadata}
	}
	return offsets, answer.Error
}

func (a kafkaGoAdmin) CommitFor(group, topic string, partition int32, next int64) error {
	return first(a.OffsetCommit(background, &kafka.OffsetCommitRequest{GroupID: group, GenerationID: -1,
		Topics: map[string][]kafka.OffsetCommit{topic: {{Partition: int(partition), Offset: next}}}}))(
		func(r *kafka.OffsetCommitResponse) error { return r.Topics[topic][0].Error })
}

func (a kafkaGoAdmin) Brokers() (int, bool, error) {
	answer, err := a.Metadata(background, &kafka.MetadataRequest{})
	if err != nil {
		return 0, false, err
	}
	known := false
	for _, b := range answer.Brokers {
		known = known || b.ID == answer.Controller.ID
	}
	return len(answer.Brokers), known, nil
}

func (a kafkaGoAdmin) Close() {}
