package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// What a broker with very many partitions is asked: to make them, to tell of them, to be written to.
func init() {
	benches["many-create"] = manyCreate
	benches["many-describe"] = manyDescribe
	benches["many-write"] = manyWrite
	benches["many-offsets"] = manyOffsets
}

// One request may write so many records: one for each topic and each partition.
const recordsPerRequest = 10_000

func manyTopic(n int) string { return fmt.Sprintf("many-%06d", n) }

// manyClient waits long, and reads answers of any size.
func manyClient(opts ...kgo.Opt) *kgo.Client {
	return franz{}.client(append(opts,
		kgo.RequestTimeoutOverhead(5*time.Minute), kgo.RetryTimeout(time.Minute), kgo.BrokerMaxReadBytes(1<<30),
	)...)
}

// manyCreate TOPICS PARTITIONS [FROM]: as many topics in each request as it may hold.
func manyCreate(words []string) {
	topics, partitions, from := number(words[0]), number(words[1]), 0
	if len(words) > 2 {
		from = number(words[2])
	}
	cl := manyClient()
	defer cl.Close()
	perRequest := max(1, recordsPerRequest/(partitions+1))
	begin := time.Now()
	var slowest time.Duration
	for n := 0; n < topics; n += perRequest {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.TimeoutMillis = 300_000
		for i := n; i < min(n+perRequest, topics); i++ {
			topic := kmsg.NewCreateTopicsRequestTopic()
			topic.Topic, topic.NumPartitions, topic.ReplicationFactor = manyTopic(from+i), int32(partitions), 1
			req.Topics = append(req.Topics, topic)
		}
		asked := time.Now()
		for _, topic := range got(req.RequestWith(background, cl)).Topics {
			if err := kerr.ErrorForCode(topic.ErrorCode); err != nil && err != kerr.TopicAlreadyExists {
				must(err)
			}
		}
		slowest = max(slowest, time.Since(asked))
	}
	figure("seconds", fmt.Sprintf("%.2f", time.Since(begin).Seconds()))
	figure("slowest request ms", milliseconds(slowest))
}

// manyDescribe: all topics a page at a time, and in one answer.
func manyDescribe(words []string) {
	cl := manyClient()
	defer cl.Close()
	if len(words) == 0 || words[0] != "no-pages" {
		begin, partitions, pages := time.Now(), 0, 0
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit = 2000
		for {
			answer := got(req.RequestWith(background, cl))
			pages++
			for _, topic := range answer.Topics {
				must(kerr.ErrorForCode(topic.ErrorCode))
				partitions += len(topic.Partitions)
			}
			if answer.NextCursor == nil {
				break
			}
			cursor := kmsg.NewDescribeTopicPartitionsRequestCursor()
			cursor.Topic, cursor.Partition = answer.NextCursor.Topic, answer.NextCursor.Partition
			req.Cursor = &cursor
		}
		figure("paged partitions", partitions)
		figure("pages", pages)
		figure("paged seconds", fmt.Sprintf("%.2f", time.Since(begin).Seconds()))
	}
	begin, partitions := time.Now(), 0
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = nil
	for _, topic := range got(req.RequestWith(background, cl)).Topics {
		partitions += len(topic.Partitions)
	}
	figure("metadata partitions", partitions)
	figure("metadata seconds", fmt.Sprintf("%.2f", time.Since(begin).Seconds()))
}

// manyOffsets TOPICS PARTITIONS PER_REQUEST: the ends of all partitions.
func manyOffsets(words []string) {
	topics, partitions, perRequest := number(words[0]), number(words[1]), number(words[2])
	cl := manyClient()
	defer cl.Close()
	begin := time.Now()
	for n := 0; n < topics*partitions; n += perRequest {
		req := kmsg.NewPtrListOffsetsRequest()
		req.ReplicaID = -1
		for i := n; i < min(n+perRequest, topics*partitions); i++ {
			if i == n || i%partitions == 0 {
				topic := kmsg.NewListOffsetsRequestTopic()
				topic.Topic = manyTopic(i / partitions)
				req.Topics = append(req.Topics, topic)
			}
			asked := kmsg.NewListOffsetsRequestTopicPartition()
			asked.Partition, asked.Timestamp, asked.CurrentLeaderEpoch = int32(i%partitions), -1, -1
			last := &req.Topics[len(req.Topics)-1]
			last.Partitions = append(last.Partitions, asked)
		}
		resp, err := cl.Broker(1).RetriableRequest(background, req)
		must(err)
		for _, topic := range resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, partition := range topic.Partitions {
				must(kerr.ErrorForCode(partition.ErrorCode))
			}
		}
	}
	figure("offsets seconds", fmt.Sprintf("%.2f", time.Since(begin).Seconds()))
}

// manyWrite TOPICS PARTITIONS PER_REQUEST SECONDS: four producers write to all partitions in turn, PER_REQUEST in each
// request, until the time is over and each partition was written to. A line for every ten seconds.
func manyWrite(words []string) {
	topics, partitions, perRequest, seconds := number(words[0]), number(words[1]), number(words[2]), number(words[3])
	all, begin := topics*partitions, time.Now()
	end := begin.Add(time.Duration(seconds) * time.Second)
	var mutex sync.Mutex
	next, written := 0, 0
	var took []time.Duration
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			// Up to version 12, Produce names its topics.
			cl := manyClient(kgo.MaxVersions(kversion.V3_9_0()))
			defer cl.Close()
			for {
				mutex.Lock()
				from := next
				if time.Now().After(end) && from >= all {
					mutex.Unlock()
					return
				}
				next += perRequest
				mutex.Unlock()
				asked := time.Now()
				manyProduce(cl, from, perRequest, partitions, all)
				mutex.Lock()
				took = append(took, time.Since(asked))
				written += perRequest
				mutex.Unlock()
			}
		})
	}
	done := make(chan struct{})
	go func() { running.Wait(); close(done) }()
	ticks := time.NewTicker(10 * time.Second)
	before, last := 0, begin
	report := func() {
		mutex.Lock()
		defer mutex.Unlock()
		if len(took) == 0 {
			return
		}
		slices.Sort(took)
		rate := float64(written-before) / time.Since(last).Seconds()
		figure(fmt.Sprintf("at %.0f s", time.Since(begin).Seconds()), fmt.Sprintf(
			"%.0f partitions/s, request p50 %s ms, p99 %s ms, max %s ms",
			rate, milliseconds(percentile(took, 50)), milliseconds(percentile(took, 99)), milliseconds(took[len(took)-1])))
		before, last, took = written, time.Now(), nil
	}
	for {
		select {
		case <-ticks.C:
			report()
		case <-done:
			report()
			figure("written", written)
			figure("partitions/s", int(float64(written)/time.Since(begin).Seconds()))
			return
		}
	}
}

func manyProduce(cl *kgo.Client, from, count, partitions, all int) {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 60_000
	batch := oneRecord(time.Now().UnixMilli())
	for i := from; i < from+count; i++ {
		n := i % all
		if i == from || n%partitions == 0 {
			topic := kmsg.NewProduceRequestTopic()
			topic.Topic = manyTopic(n / partitions)
			req.Topics = append(req.Topics, topic)
		}
		partition := kmsg.NewProduceRequestTopicPartition()
		partition.Partition, partition.Records = int32(n%partitions), batch
		last := &req.Topics[len(req.Topics)-1]
		last.Partitions = append(last.Partitions, partition)
	}
	answer := got(req.RequestWith(context.Background(), cl))
	for _, topic := range answer.Topics {
		for _, partition := range topic.Partitions {
			must(kerr.ErrorForCode(partition.ErrorCode))
		}
	}
}

// oneRecord is a batch of one record of 100 bytes.
func oneRecord(timestamp int64) []byte {
	record := kmsg.Record{Value: make([]byte, 100)}
	body := record.AppendTo(nil)
	record.Length = int32(len(body) - 1) // the length itself takes one byte while it is 0
	records := record.AppendTo(nil)
	batch := kmsg.RecordBatch{
		Magic: 2, PartitionLeaderEpoch: -1, FirstTimestamp: timestamp, MaxTimestamp: timestamp,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: 1, Records: records,
	}
	batch.Length = int32(len(batch.AppendTo(nil)) - 12)
	encoded := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(encoded[17:], crc32.Checksum(encoded[21:], crc32.MakeTable(crc32.Castagnoli)))
	return encoded
}
