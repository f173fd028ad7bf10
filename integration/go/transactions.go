package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
)

// transactions shows what a transaction shows to whom, what fences it and what ends it.
func transactions(c Client) {
	t := c.(Transactional)
	committedAndAborted(t)
	interleaved(t)
	zombies(t)
	leftOpen(t)
	timedOut(t)
}

func texts(topic string, values ...string) []Record {
	var records []Record
	for _, v := range values {
		records = append(records, Record{Topic: topic, Value: []byte(v)})
	}
	return records
}

// ends are the last stable offset and the high watermark of each partition, as the broker tells them.
func ends(topic string) (stable, high []int64) {
	a := kadm.NewClient(franz{}.client())
	defer a.Close()
	of := func(list func(context.Context, ...string) (kadm.ListedOffsets, error)) (offsets []int64) {
		var listed kadm.ListedOffsets
		// A topic that was made just now may have no leader yet.
		until("the ends of "+topic, func() bool {
			var err error
			listed, err = list(background, topic)
			err = errors.Join(err, listed.Error())
			if err != nil {
				log.Printf("ends: %v", err)
			}
			return err == nil
		})
		for partition := range int32(len(listed[topic])) {
			offsets = append(offsets, listed[topic][partition].Offset)
		}
		return offsets
	}
	return of(a.ListCommittedOffsets), of(a.ListEndOffsets)
}

// settle waits for the markers: the coordinator answers before they are written.
func settle(topic string) {
	until("the markers", func() bool {
		stable, high := ends(topic)
		return fmt.Sprint(stable) == fmt.Sprint(high)
	})
}

// seen is what a reader gets before a record that is written after all.
func seen(c Client, topic string, committed bool) string {
	const last = "the last"
	must(produce(c, ProducerOptions{}, texts(topic, last)...))
	r := c.Reader(topic, 0, Position{Kind: "start", Committed: committed})
	defer r.Close()
	var values []string
	within("reading to the end", func() {
		for {
			record := got(r.Next())
			// What an earlier call wrote is passed over.
			if string(record.Value) == last {
				if _, high := ends(topic); record.Offset == high[0]-1 {
					return
				}
				continue
			}
			values = append(values, fmt.Sprintf("%d %s", record.Offset, record.Value))
		}
	})
	return "[" + strings.Join(values, ", ") + "]"
}

func committedAndAborted(c Transactional) {
	topic := named("visible")
	create(c, topic, 1, nil)
	p := got(c.Transactions(named("visible"), 0))
	defer p.Close()
	must(p.Begin())
	must(p.Produce(texts(topic, "a0", "a1")...))
	stable, high := ends(topic)
	say("open: stable up to %d of %d", stable, high)
	must(p.Commit())
	settle(topic)
	must(p.Begin())
	must(p.Produce(texts(topic, "b0", "b1")...))
	must(p.Abort())
	settle(topic)
	must(p.Begin())
	must(p.Produce(texts(topic, "c0")...))
	must(p.Commit())
	settle(topic)
	say("committed: %s", seen(c, topic, true))
	say("all there is: %s", seen(c, topic, false))
}

// interleaved: what is behind an open transaction waits for its end, whoever wrote it.
func interleaved(c Transactional) {
	topic := named("interleaved")
	create(c, topic, 1, nil)
	one, other := got(c.Transactions(named("one"), 0)), got(c.Transactions(named("other"), 0))
	defer one.Close()
	defer other.Close()
	must(one.Begin())
	must(one.Produce(texts(topic, "one-0")...))
	must(produce(c, ProducerOptions{}, texts(topic, "plain-0")...))
	must(other.Begin())
	must(other.Produce(texts(topic, "other-0")...))
	must(other.Commit())
	until("the marker of the other", func() bool { _, high := ends(topic); return high[0] == 4 })
	stable, _ := ends(topic)
	say("while one is open: stable up to %d", stable)
	must(one.Abort())
	settle(topic)
	say("one aborted: %s", seen(c, topic, true))
	say("all there is: %s", seen(c, topic, false))
}

// zombies: a second producer of a transactional id ends the first one's transaction, and fences it.
func zombies(c Transactional) {
	topic := named("zombies")
	create(c, topic, 1, nil)
	first := got(c.Transactions(named("zombies"), 0))
	must(first.Begin())
	must(first.Produce(texts(topic, "first")...))
	second := got(c.Transactions(named("zombies"), 0))
	must(second.Begin())
	must(second.Produce(texts(topic, "second")...))
	say("the first commits: %s", nameOf(c, first.Commit()))
	must(second.Commit())
	settle(topic)
	say("committed: %s", seen(c, topic, true))
	say("all there is: %s", seen(c, topic, false))
	first.Close()
	second.Close()
}

// leftOpen: a producer that comes back ends what it left open.
func leftOpen(c Transactional) {
	topic := named("left-open")
	create(c, topic, 1, nil)
	left := got(c.Transactions(named("left-open"), 0))
	must(left.Begin())
	must(left.Produce(texts(topic, "left")...))
	again := got(c.Transactions(named("left-open"), 0))
	must(again.Begin())
	must(again.Produce(texts(topic, "again")...))
	must(again.Commit())
	settle(topic)
	say("committed: %s", seen(c, topic, true))
	say("all there is: %s", seen(c, topic, false))
	left.Close()
	again.Close()
}

// timedOut: a transaction that nobody ends is ended by the broker.
func timedOut(c Transactional) {
	topic := named("timed-out")
	create(c, topic, 1, nil)
	forgetful := got(c.Transactions(named("timed-out"), 1000))
	must(forgetful.Begin())
	must(forgetful.Produce(texts(topic, "forgotten")...))
	until("the broker to abort it", func() bool { stable, _ := ends(topic); return stable[0] == 2 })
	say("it commits: %s", nameOf(c, forgetful.Commit()))
	forgetful.Close()
	again := got(c.Transactions(named("timed-out"), 1000))
	defer again.Close()
	must(again.Begin())
	must(again.Produce(texts(topic, "again")...))
	must(again.Commit())
	settle(topic)
	say("committed: %s", seen(c, topic, true))
	say("all there is: %s", seen(c, topic, false))
	greedy, err := c.Transactions(named("greedy"), 900_001)
	say("a timeout that is too long: %s", nameOf(c, err))
	if err == nil {
		greedy.Close()
	}
}
