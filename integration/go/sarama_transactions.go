package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

type saramaTransactions struct{ sarama.SyncProducer }

func (s saramaClient) transactional(id string) *sarama.Config {
	config := s.config()
	config.Producer.Idempotent = true
	config.Producer.Transaction.ID = id
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Net.MaxOpenRequests = 1
	return config
}

func (s saramaClient) Transactions(id string, timeoutMs int) (Transactions, error) {
	config := s.transactional(id)
	if timeoutMs != 0 {
		config.Producer.Transaction.Timeout = time.Duration(timeoutMs) * time.Millisecond
	}
	producer, err := sarama.NewSyncProducer([]string{bootstrap}, config)
	if err != nil {
		return nil, err
	}
	return saramaTransactions{producer}, nil
}

func (t saramaTransactions) Begin() error { return t.BeginTxn() }
func (t saramaTransactions) Produce(records ...Record) error {
	return t.SendMessages(toSarama(records))
}
func (t saramaTransactions) Commit() error { return t.CommitTxn() }
func (t saramaTransactions) Abort() error  { return t.AbortTxn() }

func (t saramaTransactions) Close() {
	// A fenced producer says so again.
	_ = t.SyncProducer.Close()
}

func (s saramaClient) Work(w Worker) error {
	producer, err := sarama.NewSyncProducer([]string{bootstrap}, s.transactional(w.ID))
	if err != nil {
		return err
	}
	config := s.config()
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	config.Consumer.Group.Heartbeat.Interval = 100 * time.Millisecond
	config.Consumer.Group.InstanceId = w.ID
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	group := got(sarama.NewConsumerGroup([]string{bootstrap}, w.Group, config))
	ctx, cancel := context.WithCancel(background)
	go func() { <-w.Stop; cancel() }()
	handler := &saramaWorker{Worker: w, producer: producer, failed: make(chan error, eosPartitions+1)}
	go func() {
		for err := range group.Errors() {
			if errors.Is(err, sarama.ErrFencedInstancedId) {
				handler.failed <- err
			}
		}
	}()
	go func() {
		for ctx.Err() == nil {
			if err := group.Consume(ctx, []string{w.From}, handler); err != nil {
				handler.failed <- err
				return
			}
		}
		handler.failed <- group.Close()
	}()
	return <-handler.failed
}

// saramaWorker has one producer for all of its partitions: one transaction at a time.
type saramaWorker struct {
	Worker
	producer sarama.SyncProducer
	turn     sync.Mutex
	failed   chan error
}

func (h *saramaWorker) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (h *saramaWorker) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (h *saramaWorker) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, ok := <-claim.Messages():
			if !ok {
				return nil
			}
			err := h.transact(session, batchOf(message, claim))
			if err != nil {
				h.failed <- err
				return err
			}
		case <-session.Context().Done():
			return nil
		}
	}
}

// batchOf is a record and what has come behind it, up to 50.
func batchOf(first *sarama.ConsumerMessage, claim sarama.ConsumerGroupClaim) []*sarama.ConsumerMessage {
	batch := []*sarama.ConsumerMessage{first}
	for len(batch) < 50 {
		select {
		case message, ok := <-claim.Messages():
			if !ok {
				return batch
			}
			batch = append(batch, message)
		default:
			return batch
		}
	}
	return batch
}

// transact writes what was read and commits its offsets, or neither. What fails ends the worker: whoever comes next goes on.
func (h *saramaWorker) transact(session sarama.ConsumerGroupSession, batch []*sarama.ConsumerMessage) error {
	h.turn.Lock()
	defer h.turn.Unlock()
	if err := h.producer.BeginTxn(); err != nil {
		return err
	}
	var out []*sarama.ProducerMessage
	for _, message := range batch {
		out = append(out, &sarama.ProducerMessage{Topic: h.To, Partition: message.Partition, Value: sarama.ByteEncoder(message.Value)})
	}
	if err := h.producer.SendMessages(out); err != nil {
		return err
	}
	member := sarama.NewConsumerGroupMetadataFromSession(session, h.Group, &h.ID)
	last := batch[len(batch)-1]
	if err := h.producer.AddMessageToTxnWithGroupMetadata(last, member, nil); err != nil {
		return err
	}
	if err := h.producer.CommitTxn(); err != nil {
		return err
	}
	h.Committed()
	return nil
}
