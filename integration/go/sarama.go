package main

import (
	"context"
	"errors"
	"log"
	"sort"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// saramaClient adapts IBM/sarama.
type saramaClient struct{}

func (saramaClient) config() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.ClientID = "integration"
	config.Metadata.AllowAutoTopicCreation = false
	config.Metadata.RefreshFrequency = time.Second
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Consumer.Return.Errors = true
	config.Consumer.MaxWaitTime = 200 * time.Millisecond
	return config
}

func (saramaClient) Traits() Traits { return Traits{Idempotent: true} }

func (saramaClient) Code(err error) (int16, bool) {
	var batch sarama.ProducerErrors
	if errors.As(err, &batch) {
		err = batch[0].Err
	}
	var known sarama.KError
	if errors.As(err, &known) {
		return int16(known), true
	}
	// Sarama checks these before it asks the broker.
	if errors.Is(err, sarama.ErrInvalidPartition) {
		return int16(sarama.ErrUnknownTopicOrPartition), true
	}
	return 0, false
}

type saramaProducer struct{ sarama.SyncProducer }

func isolation(committed bool) sarama.IsolationLevel {
	if committed {
		return sarama.ReadCommitted
	}
	return sarama.ReadUncommitted
}

func (s saramaClient) Producer(o ProducerOptions) Producer {
	config := s.config()
	if o.Codec != "" {
		must(config.Producer.Compression.UnmarshalText([]byte(o.Codec)))
	}
	if o.Idempotent {
		config.Producer.Idempotent = true
		config.Net.MaxOpenRequests = 1
	}
	if o.ByPartition {
		config.Producer.Partitioner = sarama.NewManualPartitioner
	}
	if o.MaxBytes != 0 {
		config.Producer.MaxMessageBytes = o.MaxBytes
	}
	if o.RetryForever {
		config.Producer.Retry.Max = 1000
		config.Metadata.Retry.Max = 1000
	}
	return saramaProducer{got(sarama.NewSyncProducer([]string{bootstrap}, config))}
}

func (p saramaProducer) Produce(records ...Record) error {
	return p.SendMessages(toSarama(records))
}

func toSarama(records []Record) []*sarama.ProducerMessage {
	var batch []*sarama.ProducerMessage
	for _, r := range records {
		out := &sarama.ProducerMessage{Topic: r.Topic, Partition: r.Partition}
		if r.Key != nil {
			out.Key = sarama.ByteEncoder(r.Key)
		}
		if r.Value != nil {
			out.Value = sarama.ByteEncoder(r.Value)
		}
		if r.TimestampMs != 0 {
			out.Timestamp = time.UnixMilli(r.TimestampMs)
		}
		for _, h := range r.Headers {
			out.Headers = append(out.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
		}
		batch = append(batch, out)
	}
	return batch
}

func (saramaProducer) Forget(string) {}

func (p saramaProducer) Close() { must(p.SyncProducer.Close()) }

func fromSarama(m *sarama.ConsumerMessage) Record {
	in := Record{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Key: m.Key, Value: m.Value, TimestampMs: m.Timestamp.UnixMilli()}
	for _, h := range m.Headers {
		in.Headers = append(in.Headers, Header{string(h.Key), h.Value})
	}
	return in
}

type saramaReader struct {
	client    sarama.Client
	consumer  sarama.Consumer
	partition sarama.PartitionConsumer
	err       error
}

func (s saramaClient) Reader(topic string, partition int32, at Position) Reader {
	config := s.config()
	config.Consumer.IsolationLevel = isolation(at.Committed)
	r := &saramaReader{client: got(sarama.NewClient([]string{bootstrap}, config))}
	r.consumer = got(sarama.NewConsumerFromClient(r.client))
	offset := at.Value
	switch at.Kind {
	case "start":
		offset = sarama.OffsetOldest
	case "end":
		offset = sarama.OffsetNewest
	case "time":
		offset = got(r.client.GetOffset(topic, partition, at.Value))
	}
	r.partition, r.err = r.consumer.ConsumePartition(topic, partition, offset)
	if errors.Is(r.err, sarama.ErrOffsetOutOfRange) && at.Reset != "" {
		// Sarama leaves the reset of a reader without a group to its user.
		r.partition, r.err = r.consumer.ConsumePartition(topic, partition,
			map[string]int64{"earliest": sarama.OffsetOldest, "latest": sarama.OffsetNewest}[at.Reset])
	}
	return r
}

func (r *saramaReader) Next() (Record, error) {
	if r.err != nil {
		return Record{}, r.err
	}
	select {
	case m := <-r.partition.Messages():
		return fromSarama(m), nil
	case err := <-r.partition.Errors():
		return Record{}, err
	}
}

func (r *saramaReader) Close() {
	if r.partition != nil {
		r.partition.AsyncClose()
	}
	must(r.consumer.Close())
	must(r.client.Close())
}

type saramaMember struct {
	group      sarama.ConsumerGroup
	o          GroupOptions
	mu         sync.Mutex
	session    sarama.ConsumerGroupSession
	rebalances int
	err        error
	stop       context.CancelFunc
	stopped    chan struct{}
}

func (s saramaClient) Join(o GroupOptions) Member {
	if o.Reset == "none" {
		return nil
	}
	config := s.config()
	config.Consumer.Group.Heartbeat.Interval = 100 * time.Millisecond
	config.Consumer.Group.InstanceId = o.Instance
	config.Consumer.Offsets.AutoCommit.Enable = o.Commit == "auto"
	config.Consumer.Offsets.AutoCommit.Interval = 200 * time.Millisecond
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	if o.Reset == "latest" {
		config.Consumer.Offsets.Initial = sarama.OffsetNewest
	}
	ctx, stop := context.WithCancel(background)
	m := &saramaMember{o: o, stop: stop, stopped: make(chan struct{})}
	m.group = got(sarama.NewConsumerGroup([]string{bootstrap}, o.Group, config))
	go func() {
		for err := range m.group.Errors() {
			m.note(err)
		}
	}()
	go func() {
		defer close(m.stopped)
		for ctx.Err() == nil {
			if err := m.group.Consume(ctx, []string{o.Topic}, m); err != nil {
				m.note(err)
			}
		}
	}()
	return m
}

// note keeps what ends a member; sarama retries the rest.
func (m *saramaMember) note(err error) {
	log.Printf("sarama group: %v", err)
	m.mu.Lock()
	defer m.mu.Unlock()
	if errors.Is(err, sarama.ErrFencedInstancedId) && m.err == nil {
		m.err = err
		m.stop()
	}
}

func (m *saramaMember) Setup(session sarama.ConsumerGroupSession) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session = session
	m.rebalances++
	return nil
}

func (m *saramaMember) Cleanup(session sarama.ConsumerGroupSession) error {
	if m.o.Commit == "each" {
		session.Commit()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session = nil
	return nil
}

func (m *saramaMember) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, ok := <-claim.Messages():
			if !ok {
				return nil
			}
			m.o.Handle(fromSarama(message))
			if m.o.Commit != "manual" {
				session.MarkMessage(message, "")
			}
		case <-session.Context().Done():
			return nil
		}
	}
}

func (m *saramaMember) Assigned() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	if m.session != nil {
		for topic, partitions := range m.session.Claims() {
			for _, p := range partitions {
				names = append(names, place(topic, p))
			}
		}
	}
	sort.Strings(names)
	return names
}

func (m *saramaMember) Rebalances() int { m.mu.Lock(); defer m.mu.Unlock(); return m.rebalances }
func (m *saramaMember) Err() error      { m.mu.Lock(); defer m.mu.Unlock(); return m.err }

func (m *saramaMember) Commit(topic string, partition int32, next int64, metadata string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session.MarkOffset(topic, partition, next, metadata)
	m.session.Commit()
	return nil
}

func (m *saramaMember) CommitAsync(string, int32, int64) error { return errAbsent }

func (m *saramaMember) Pause(topic string, partition int32) error {
	m.group.Pause(map[string][]int32{topic: {partition}})
	return nil
}

func (m *saramaMember) Resume(topic string, partition int32) error {
	m.group.Resume(map[string][]int32{topic: {partition}})
	return nil
}

func (m *saramaMember) Forget(string) {}

func (m *saramaMember) Close() {
	m.stop()
	<-m.stopped
	must(m.group.Close())
}

type saramaAdmin struct {
	sarama.ClusterAdmin
	client sarama.Client
}

func (s saramaClient) Admin() Admin {
	config := s.config()
	config.Admin.Retry.Max = 0
	client := got(sarama.NewClient([]string{bootstrap}, config))
	return saramaAdmin{got(sarama.NewClusterAdminFromClient(client)), client}
}

func (a saramaAdmin) Create(topic string, partitions int32, configs map[string]string) error {
	return a.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: pointers(configs)}, false)
}

func pointers(values map[string]string) map[string]*string {
	all := map[string]*string{}
	for k, v := range values {
		all[k] = &v
	}
	return all
}

func (a saramaAdmin) Grow(topic string, total int32) error {
	return a.CreatePartitions(topic, total, nil, false)
}

func (a saramaAdmin) Delete(topic string) error { return a.DeleteTopic(topic) }

func (a saramaAdmin) Partitions(topic string) (int, error) {
	described, err := a.DescribeTopics([]string{topic})
	if err != nil {
		return 0, err
	}
	return len(described[0].Partitions), nil
}

func (a saramaAdmin) Topics() ([]string, error) {
	listed, err := a.ListTopics()
	var names []string
	for name := range listed {
		names = append(names, name)
	}
	return names, err
}

func (a saramaAdmin) Config(topic, key string) (string, error) {
	entries, err := a.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{key}})
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if e.Name == key {
			return e.Value + " " + e.Source.String(), nil
		}
	}
	return "", errors.New("no such key")
}

func (a saramaAdmin) SetConfig(topic, key, value string) error {
	return a.IncrementalAlterConfig(sarama.TopicResource, topic, map[string]sarama.IncrementalAlterConfigsEntry{
		key: {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}}, false)
}

func (a saramaAdmin) Offset(topic string, partition int32, timeMs int64) (int64, error) {
	return a.client.GetOffset(topic, partition, timeMs)
}

func (a saramaAdmin) DeleteRecords(topic string, partition int32, before int64) error {
	return a.ClusterAdmin.DeleteRecords(topic, map[int32]int64{partition: before})
}

func (a saramaAdmin) Groups() ([]string, error) {
	listed, err := a.ListConsumerGroups()
	var names []string
	for name := range listed {
		names = append(names, name)
	}
	return names, err
}

func (a saramaAdmin) GroupState(group string) (string, int, error) {
	described, err := a.DescribeConsumerGroups([]string{group})
	if err != nil {
		return "", 0, err
	}
	return described[0].State, len(described[0].Members), nil
}

func (a saramaAdmin) DeleteGroup(group string) error { return a.DeleteConsumerGroup(group) }

func (a saramaAdmin) Committed(group, topic string) (map[int32]Committed, error) {
	fetched, err := a.ListConsumerGroupOffsets(group, nil)
	if err != nil {
		return nil, err
	}
	offsets := map[int32]Committed{}
	for partition, block := range fetched.Blocks[topic] {
		offsets[partition] = Committed{block.Offset, block.Metadata}
	}
	return offsets, nil
}

func (a saramaAdmin) CommitFor(group, topic string, partition int32, next int64) error {
	_, err := a.AlterConsumerGroupOffsets(group, map[string]map[int32]sarama.OffsetAndMetadata{topic: {partition: {Offset: next}}}, nil)
	return err
}

func (a saramaAdmin) Brokers() (int, bool, error) {
	brokers, controller, err := a.DescribeCluster()
	known := false
	for _, b := range brokers {
		known = known || b.ID() == controller
	}
	return len(brokers), known, err
}

func (a saramaAdmin) Close() { must(a.ClusterAdmin.Close()) }
