package main

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// tally counts what the members of a group handled.
type tally struct {
	mu    sync.Mutex
	seen  map[string]int
	total int
	last  Record
	first map[string]Record // By topic/partition.
}

func newTally() *tally { return &tally{seen: map[string]int{}, first: map[string]Record{}} }

func (t *tally) handle(r Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen[r.Topic+" "+string(r.Value)]++
	t.total++
	t.last = r
	if place := place(r.Topic, r.Partition); t.first[place].Topic == "" {
		t.first[place] = r
	}
}

func (t *tally) distinct() int { t.mu.Lock(); defer t.mu.Unlock(); return len(t.seen) }
func (t *tally) count() int    { t.mu.Lock(); defer t.mu.Unlock(); return t.total }

func (t *tally) firstOf(topic string, partition int32) (Record, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.first[place(topic, partition)]
	return r, ok
}

func place(topic string, partition int32) string { return fmt.Sprintf("%s/%d", topic, partition) }

// shares is how many partitions each member has, smallest first, once together they have all of them.
func shares(members []Member, partitions int) string {
	var line string
	until(fmt.Sprintf("%d members sharing %d partitions", len(members), partitions), func() bool {
		counts, all := []int{}, map[string]bool{}
		sum := 0
		for _, m := range members {
			must(m.Err())
			mine := m.Assigned()
			counts, sum = append(counts, len(mine)), sum+len(mine)
			for _, p := range mine {
				all[p] = true
			}
		}
		sort.Ints(counts)
		line = strings.Trim(fmt.Sprint(counts), "[]")
		evenly := counts[len(counts)-1]-counts[0] <= 1
		return sum == partitions && len(all) == partitions && evenly
	})
	return line
}

func groups(c Client)      { joinAndLeave(c, false) }
func cooperative(c Client) { joinAndLeave(c, true) }

// joinAndLeave has 1 to 5 members come and go, one at a time, while records are produced.
func joinAndLeave(c Client, cooperative bool) {
	topic, group := named("groups"), named("group")
	create(c, topic, 6, nil)
	p := c.Producer(ProducerOptions{})
	defer p.Close()
	handled, sent := newTally(), 0
	var members []Member
	step := func(change func()) {
		var producing sync.WaitGroup
		from := sent
		sent += 300
		producing.Go(func() {
			for at := from; at < from+300; at += 20 {
				must(p.Produce(numbered(topic, at, at+20)...))
			}
		})
		change()
		say("%d members: %s", len(members), shares(members, 6))
		producing.Wait()
	}
	for range 5 {
		step(func() {
			members = append(members, c.Join(GroupOptions{
				Group: group, Topic: topic, Cooperative: cooperative, Commit: "each", Handle: handled.handle}))
		})
	}
	for range 4 {
		step(func() {
			leaving := members[0]
			members = members[1:]
			within("leaving the group", leaving.Close)
		})
	}
	until("all records", func() bool { return handled.distinct() >= sent })
	members[0].Close()
	a := c.Admin()
	defer a.Close()
	committed := int64(0)
	for _, o := range got(a.Committed(group, topic)) {
		committed += o.Offset
	}
	say("delivered %d, duplicates %d, lost %d, committed %d", sent, handled.count()-handled.distinct(), sent-handled.distinct(), committed)
}

func static(c Client) {
	topic, group := named("static"), named("group")
	create(c, topic, 4, nil)
	handled := newTally()
	join := func(instance string) Member {
		return c.Join(GroupOptions{Group: group, Topic: topic, Instance: instance, Commit: "each", Handle: handled.handle})
	}
	one := join("one")
	shares([]Member{one}, 4)
	two := join("two")
	say("2 members: %s", shares([]Member{one, two}, 4))
	before, rebalances := fmt.Sprint(one.Assigned()), two.Rebalances()
	one.Close()
	one = join("one")
	until("the partitions again", func() bool { must(one.Err()); return len(one.Assigned()) > 0 })
	say("restarted: same partitions %t, rebalances of the other %d", fmt.Sprint(one.Assigned()) == before, two.Rebalances()-rebalances)

	again := join("one")
	until("the first member's end", func() bool { return one.Err() != nil })
	say("the first of two with one id: %s", nameOf(c, one.Err()))
	until("the second's partitions", func() bool { must(again.Err()); return fmt.Sprint(again.Assigned()) == before })
	say("the second: same partitions true")
	for _, m := range []Member{one, again, two} {
		within("closing", m.Close)
	}
}

func commit(c Client) {
	topic := named("commit")
	create(c, topic, 1, nil)
	must(produce(c, ProducerOptions{}, numbered(topic, 0, 100)...))
	a := c.Admin()
	defer a.Close()
	show := func(group, what string, want int64) (committed Committed) {
		until(fmt.Sprintf("%s: committed %d", what, want), func() bool {
			committed = got(a.Committed(group, topic))[0]
			return committed.Offset == want
		})
		say("%s: committed %d", what, committed.Offset)
		return committed
	}

	handled := newTally()
	m := c.Join(GroupOptions{Group: named("auto"), Topic: topic, Commit: "auto", Handle: handled.handle})
	until("100 records", func() bool { return handled.count() == 100 })
	show(named("auto"), "automatic", 100)
	m.Close()

	manual := named("manual")
	handled = newTally()
	join := func() Member {
		return c.Join(GroupOptions{Group: manual, Topic: topic, Commit: "manual", Handle: handled.handle})
	}
	m = join()
	until("100 records", func() bool { return handled.count() == 100 })
	must(m.Commit(topic, 0, 50, ""))
	show(manual, "synchronous", 50)
	if err := m.CommitAsync(topic, 0, 60); err == errAbsent {
		say("asynchronous: %s", err)
	} else {
		must(err)
		show(manual, "asynchronous", 60)
	}
	must(m.Commit(topic, 0, 70, "a note"))
	say("metadata: %q", show(manual, "with metadata", 70).Metadata)
	m.Close()
	show(manual, "after leaving", 70)

	handled = newTally()
	m = join()
	until("30 records", func() bool { return handled.count() == 30 })
	first, _ := handled.firstOf(topic, 0)
	say("the next member begins at %d", first.Offset)
	m.Close()
}

func reset(c Client) {
	topic := named("reset")
	create(c, topic, 1, nil)
	p := c.Producer(ProducerOptions{})
	defer p.Close()
	must(p.Produce(numbered(topic, 0, 10)...))

	handled := newTally()
	m := c.Join(GroupOptions{Group: named("earliest"), Topic: topic, Reset: "earliest", Commit: "manual", Handle: handled.handle})
	until("10 records", func() bool { return handled.count() == 10 })
	first, _ := handled.firstOf(topic, 0)
	say("earliest: begins at %d", first.Offset)
	m.Close()

	handled = newTally()
	m = c.Join(GroupOptions{Group: named("latest"), Topic: topic, Reset: "latest", Commit: "manual", Handle: handled.handle})
	shares([]Member{m}, 1)
	until("a new record", func() bool {
		must(p.Produce(Record{Topic: topic, Value: []byte("new")}))
		time.Sleep(20 * time.Millisecond)
		return handled.count() > 0
	})
	first, _ = handled.firstOf(topic, 0)
	say("latest: nothing old %t", first.Offset >= 10)
	m.Close()

	// Committed beyond the end: the libraries do not agree on what "none" means for a group that committed nothing.
	a := c.Admin()
	defer a.Close()
	must(a.CommitFor(named("none"), topic, 0, 500_000))
	handled = newTally()
	m = c.Join(GroupOptions{Group: named("none"), Topic: topic, Reset: "none", Commit: "manual", Handle: handled.handle})
	if m == nil {
		say("none: %s", errAbsent)
		return
	}
	until("an error", func() bool { return m.Err() != nil })
	say("none: %s, records %d", nameOf(c, m.Err()), handled.count())
	m.Close()
}

func pause(c Client) {
	topic := named("pause")
	create(c, topic, 2, nil)
	p := c.Producer(ProducerOptions{ByPartition: true})
	defer p.Close()
	send := func(partition int32, from, to int) {
		for _, r := range numbered(topic, from, to) {
			r.Partition = partition
			r.Value = []byte(strconv.Itoa(int(partition)) + "-" + string(r.Value))
			must(p.Produce(r))
		}
	}
	counts := [2]int{}
	ordered := true
	var mu sync.Mutex
	m := c.Join(GroupOptions{Group: named("group"), Topic: topic, Commit: "manual", Handle: func(r Record) {
		mu.Lock()
		defer mu.Unlock()
		ordered = ordered && int(r.Offset) == counts[r.Partition]
		counts[r.Partition]++
	}})
	have := func(partition, n int) {
		until(fmt.Sprintf("%d records of partition %d", n, partition), func() bool {
			mu.Lock()
			defer mu.Unlock()
			return counts[partition] >= n
		})
	}
	send(0, 0, 10)
	send(1, 0, 10)
	have(0, 10)
	have(1, 10)
	must(m.Pause(topic, 0))
	both := func(from, to int) {
		send(0, from, to)
		send(1, from, to)
		have(1, to)
	}
	both(10, 60) // What a fetch under way brings may still arrive here.
	mu.Lock()
	before := counts[0]
	mu.Unlock()
	both(60, 110)
	mu.Lock()
	say("paused: partition 0 stands still %t, partition 1 has %d", counts[0] == before && before < 60, counts[1])
	mu.Unlock()
	must(m.Resume(topic, 0))
	have(0, 110)
	m.Close()
	say("resumed: partition 0 has %d, partition 1 has %d, in order %t", counts[0], counts[1], ordered)
}

func regex(c Client) {
	create(c, named("rx-a"), 1, nil)
	create(c, named("other"), 1, nil)
	must(produce(c, ProducerOptions{}, numbered(named("rx-a"), 0, 10)...))
	must(produce(c, ProducerOptions{}, numbered(named("other"), 0, 10)...))
	handled := newTally()
	m := c.Join(GroupOptions{Group: named("group"), Pattern: "^" + named("rx-") + ".*", Commit: "each", Handle: handled.handle})
	until("10 records", func() bool { return handled.count() == 10 })
	say("assigned: %s", strings.Join(m.Assigned(), " "))
	create(c, named("rx-b"), 2, nil)
	until("the new topic's partitions", func() bool { return len(m.Assigned()) == 3 })
	say("assigned: %s", strings.Join(m.Assigned(), " "))
	must(produce(c, ProducerOptions{}, numbered(named("rx-b"), 0, 10)...))
	until("20 records", func() bool { return handled.distinct() == 20 })
	m.Close()
	say("consumed %d, of another topic %d", handled.distinct(), func() int {
		_, other := handled.firstOf(named("other"), 0)
		if other {
			return 1
		}
		return 0
	}())
}
