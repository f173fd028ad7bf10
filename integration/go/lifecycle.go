package main

import (
	"fmt"
	"log"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
)

// topics has a producer and a group member run while their topic grows, goes and comes back.
func topics(c Client) {
	topic, group := named("topic"), named("group")
	a := c.Admin()
	defer a.Close()
	must(a.Create(topic, 1, nil))
	p := c.Producer(ProducerOptions{ByPartition: true})
	defer p.Close()
	handled := newTally()
	joining := GroupOptions{Group: group, Topic: topic, Commit: "each", Handle: handled.handle}
	m := c.Join(joining)
	must(p.Produce(numbered(topic, 0, 10)...))
	until("10 records", func() bool { return handled.distinct() == 10 })
	say("created: consumed 10")

	must(a.Grow(topic, 3))
	last := Record{Topic: topic, Partition: 2, Value: []byte("grown")}
	until("a record in the new partition", func() bool { return p.Produce(last) == nil })
	until("it to be consumed", func() bool { _, ok := handled.firstOf(topic, 2); return ok })
	until("all partitions", func() bool { return len(m.Assigned()) == 3 })
	say("grown: assigned %d, consumed from partition 2", len(m.Assigned()))

	if c.Traits().Revives {
		m.Close()
	}
	must(a.Delete(topic))
	until("the topic to be gone", func() bool { return !has(got(a.Topics()), topic) })
	say("deleted: listed false")
	must(a.Create(topic, 2, nil))
	p.Forget(topic)
	if c.Traits().Revives {
		m = c.Join(joining)
	} else {
		m.Forget(topic)
	}
	again := Record{Topic: topic, Partition: 1, Value: []byte("again")}
	until("a record in the topic made again", func() bool {
		err := p.Produce(again)
		if err != nil {
			log.Printf("not yet: %v", err)
		}
		return err == nil
	})
	r := c.Reader(topic, 1, start)
	first := readN(r, 1)[0]
	r.Close()
	say("made again: offset %d, value %s", first.Offset, first.Value)
	until("the member to consume it", func() bool { return handled.has(topic, "again") })
	until("the new partitions", func() bool { return len(m.Assigned()) == 2 })
	say("made again: assigned %d, consumed", len(m.Assigned()))
	m.Close()
}

func (t *tally) has(topic, value string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen[topic+" "+value] > 0
}

func has(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// mine keeps what belongs to this run, without its prefix, sorted.
func mine(names []string) string {
	var kept []string
	for _, n := range names {
		if short, ok := strings.CutPrefix(n, runID+"-"); ok {
			kept = append(kept, short)
		}
	}
	sort.Strings(kept)
	return strings.Join(kept, " ")
}

func admin(c Client) {
	a := c.Admin()
	defer a.Close()
	topic, other, group := named("topic"), named("other"), named("group")
	outcome := func(what string, err error) { say("%s: %s", what, nameOf(c, err)) }

	outcome("create", a.Create(topic, 3, map[string]string{"retention.ms": "3600000"}))
	outcome("create again", a.Create(topic, 3, nil))
	outcome("create with a bad name", a.Create(named("bad name!"), 1, nil))
	outcome("create with a bad config", a.Create(other, 1, map[string]string{"retention.ms": "soon"}))
	outcome("create with an unknown config", a.Create(other, 1, map[string]string{"retention.years": "1"}))
	outcome("create without partitions", a.Create(other, 0, nil))
	outcome("create the other", a.Create(other, 1, nil))
	until("both topics", func() bool { return mine(got(a.Topics())) == "other topic" })
	say("topics: %s", mine(got(a.Topics())))
	say("partitions: %d", got(a.Partitions(topic)))

	outcome("grow to 5", a.Grow(topic, 5))
	outcome("grow to 2", a.Grow(topic, 2))
	outcome("grow a missing topic", a.Grow(named("missing"), 2))
	until("5 partitions", func() bool { return got(a.Partitions(topic)) == 5 })

	for _, key := range []string{"retention.ms", "cleanup.policy", "max.message.bytes", "compression.type"} {
		say("config %s: %s", key, got(a.Config(topic, key)))
	}
	outcome("set retention.ms", a.SetConfig(topic, "retention.ms", "7200000"))
	until("the new value", func() bool { return strings.HasPrefix(got(a.Config(topic, "retention.ms")), "7200000") })
	say("config retention.ms: %s", got(a.Config(topic, "retention.ms")))
	outcome("set a bad value", a.SetConfig(topic, "retention.ms", "soon"))
	outcome("set for a missing topic", a.SetConfig(named("missing"), "retention.ms", "1"))

	must(produce(c, ProducerOptions{}, numbered(other, 0, 20)...))
	say("offsets: %d to %d", got(a.Offset(other, 0, -2)), got(a.Offset(other, 0, -1)))
	outcome("delete records", a.DeleteRecords(other, 0, 5))
	outcome("delete records beyond the end", a.DeleteRecords(other, 0, 500))
	say("offsets: %d to %d", got(a.Offset(other, 0, -2)), got(a.Offset(other, 0, -1)))

	handled := newTally()
	m := c.Join(GroupOptions{Group: group, Topic: other, Commit: "each", Handle: handled.handle})
	until("records", func() bool { return handled.count() >= 15 })
	state := func() string {
		state, members, err := a.GroupState(group)
		must(err)
		return fmt.Sprintf("%s, members %d", state, members)
	}
	until("a stable group", func() bool { return state() == "Stable, members 1" })
	say("groups: %s", mine(got(a.Groups())))
	say("group: %s", state())
	outcome("delete a group in use", a.DeleteGroup(group))
	m.Close()
	until("an empty group", func() bool { return state() == "Empty, members 0" })
	say("group: %s", state())
	say("committed: %d", got(a.Committed(group, other))[0].Offset)
	outcome("set its offset", a.CommitFor(group, other, 0, 7))
	say("committed: %d", got(a.Committed(group, other))[0].Offset)
	outcome("delete the group", a.DeleteGroup(group))
	outcome("delete it again", a.DeleteGroup(group))
	say("groups: %s", mine(got(a.Groups())))

	outcome("delete", a.Delete(topic))
	outcome("delete a missing topic", a.Delete(named("missing")))
	until("the topic to be gone", func() bool { return mine(got(a.Topics())) == "other" })
	brokers, controller, err := a.Brokers()
	must(err)
	say("brokers: %d, controller known %t", brokers, controller)
}

// restart has the broker stop and start twice under a load.
func restart(c Client) {
	const total, chunk = 3000, 50
	topic := named("restart")
	create(c, topic, 3, nil)
	handled := newTally()
	m := c.Join(GroupOptions{Group: named("group"), Topic: topic, Commit: "each", Handle: handled.handle})
	p := c.Producer(ProducerOptions{Idempotent: true, RetryForever: true})
	var acknowledged atomic.Int64
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for from := 0; from < total; from += chunk {
			must(p.Produce(numbered(topic, from, from+chunk)...))
			acknowledged.Store(int64(from + chunk))
		}
	}()
	for _, at := range []int64{500, 1500} {
		until(fmt.Sprint(at, " acknowledged"), func() bool { return acknowledged.Load() >= at })
		broker("restart")
	}
	within("producing", func() { <-finished })
	p.Close()
	until("the member to have all", func() bool { return handled.distinct() == total })
	within("closing", m.Close)

	a := c.Admin()
	defer a.Close()
	seen, stored, ordered := map[string]bool{}, 0, true
	for partition := range int32(3) {
		end := int(got(a.Offset(topic, partition, -1)))
		stored += end
		r := c.Reader(topic, partition, start)
		last := -1
		for _, record := range readN(r, end) {
			number := got(strconv.Atoi(string(record.Value)))
			ordered = ordered && number > last
			last = number
			seen[string(record.Value)] = true
		}
		r.Close()
	}
	if c.Traits().Idempotent {
		say("acknowledged %d, lost %d, duplicates %d, in order %t", total, total-len(seen), stored-len(seen), ordered)
	} else {
		say("acknowledged %d, lost %d", total, total-len(seen))
	}
}
