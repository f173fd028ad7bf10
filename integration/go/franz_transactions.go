package main

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type franzTransactions struct{ *kgo.Client }

func (f franz) Transactions(id string, timeoutMs int) (Transactions, error) {
	opts := []kgo.Opt{kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner())}
	if timeoutMs != 0 {
		opts = append(opts, kgo.TransactionTimeout(time.Duration(timeoutMs)*time.Millisecond))
	}
	client := f.client(opts...)
	// It asks for its producer id with its first use otherwise.
	if _, _, err := client.ProducerID(background); err != nil {
		client.Close()
		return nil, err
	}
	return franzTransactions{client}, nil
}

func (t franzTransactions) Begin() error { return t.BeginTransaction() }

func (t franzTransactions) Produce(records ...Record) error {
	return t.ProduceSync(background, toFranz(records)...).FirstErr()
}

func (t franzTransactions) Commit() error { return t.EndTransaction(background, kgo.TryCommit) }
func (t franzTransactions) Abort() error  { return t.EndTransaction(background, kgo.TryAbort) }

func (f franz) Work(w Worker) error {
	session := got(kgo.NewGroupTransactSession(
		kgo.SeedBrokers(bootstrap),
		kgo.TransactionalID(w.ID),
		kgo.TransactionTimeout(10*time.Second),
		kgo.InstanceID(w.ID),
		kgo.ConsumerGroup(w.Group),
		kgo.ConsumeTopics(w.From),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(200*time.Millisecond),
		kgo.HeartbeatInterval(100*time.Millisecond),
		kgo.SessionTimeout(10*time.Second),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	))
	ctx, cancel := context.WithCancel(background)
	go func() { <-w.Stop; cancel() }()
	for {
		fetches := session.PollRecords(ctx, 50)
		if ctx.Err() != nil {
			session.Close()
			return nil
		}
		if err := fetches.Err(); err != nil && !retriable(err) {
			return err
		}
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := transact(session, w, fetches); err != nil {
			return err
		}
	}
}

func retriable(err error) bool {
	var known *kerr.Error
	return errors.As(err, &known) && known.Retriable
}

// transact writes what was read and commits its offsets, or neither.
func transact(session *kgo.GroupTransactSession, w Worker, fetches kgo.Fetches) error {
	if err := session.Begin(); err != nil {
		return err
	}
	failed := kgo.AbortingFirstErrPromise(session.Client())
	fetches.EachRecord(func(r *kgo.Record) {
		session.Produce(background, &kgo.Record{Topic: w.To, Partition: r.Partition, Value: r.Value}, failed.Promise())
	})
	failure := failed.Err()
	committed, err := session.End(background, failure == nil)
	if err == nil && failure != nil {
		err = failure
	}
	if committed {
		w.Committed()
	}
	return err
}
