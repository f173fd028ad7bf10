package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kadm"
)

// newProtocol is a group of the consumer protocol (KIP-848): the broker assigns, and evaluates patterns.
func newProtocol(c Client) {
	join := func(o GroupOptions) Member {
		o.New, o.Commit = true, "each"
		return c.Join(o)
	}
	comeAndGo(c, join)
	pattern(c, join)
	staticInstance(c, join)
	crash(c, join)
}

func described(group string) string {
	a := kadm.NewClient(franz{}.client())
	defer a.Close()
	found := got(a.DescribeConsumerGroups(background, group))[group]
	must(found.Err)
	return fmt.Sprintf("%s %s members %d", found.State, found.AssignorName, len(found.Members))
}

// comeAndGo has 1 to 4 members join and leave, while records are produced.
func comeAndGo(c Client, join func(GroupOptions) Member) {
	topic, group := named("members"), named("members")
	create(c, topic, 6, nil)
	handled, sent := newTally(), 0
	var members []Member
	for _, count := range []int{1, 2, 3, 4, 2, 1} {
		for len(members) < count {
			members = append(members, join(GroupOptions{Group: group, Topic: topic, Handle: handled.handle}))
		}
		for len(members) > count {
			within("leaving the group", members[0].Close)
			members = members[1:]
		}
		must(produce(c, ProducerOptions{}, numbered(topic, sent, sent+300)...))
		sent += 300
		say("%d members: %s", count, shares(members, 6))
		until("all records", func() bool { return handled.distinct() >= sent })
	}
	say("described: %s", described(group))
	members[0].Close()
	say("delivered %d, duplicates %d", sent, handled.count()-handled.distinct())
}

func pattern(c Client, join func(GroupOptions) Member) {
	create(c, named("rx-a"), 1, nil)
	create(c, named("other"), 1, nil)
	handled := newTally()
	m := join(GroupOptions{Group: named("pattern"), Pattern: "^" + named("rx-") + ".*", Handle: handled.handle})
	shares([]Member{m}, 1)
	say("assigned: %s", strings.Join(m.Assigned(), " "))
	create(c, named("rx-b"), 2, nil)
	until("the new topic's partitions", func() bool { return len(m.Assigned()) == 3 })
	say("assigned: %s", strings.Join(m.Assigned(), " "))
	m.Close()
}

// staticInstance: a static member comes back to its own partitions.
func staticInstance(c Client, join func(GroupOptions) Member) {
	topic := named("static")
	create(c, topic, 4, nil)
	handled := newTally()
	instance := func(id string) Member {
		return join(GroupOptions{Group: named("static"), Topic: topic, Instance: id, Handle: handled.handle})
	}
	one, two := instance("one"), instance("two")
	say("2 members: %s", shares([]Member{one, two}, 4))
	before, other := fmt.Sprint(one.Assigned()), fmt.Sprint(two.Assigned())
	within("closing", one.Close)
	one = instance("one")
	until("the partitions again", func() bool { return len(one.Assigned()) > 0 })
	say("restarted: same partitions %t, of the other too %t", fmt.Sprint(one.Assigned()) == before, fmt.Sprint(two.Assigned()) == other)
	one.Close()
	two.Close()
}

// crash: a member that is killed loses its partitions when its session ends.
func crash(c Client, join func(GroupOptions) Member) {
	topic := named("crash")
	create(c, topic, 6, nil)
	member := exec.Command(got(os.Executable()), os.Args[1], "crash-member")
	member.Stderr = os.Stderr
	out := got(member.StdoutPipe())
	must(member.Start())
	var has atomic.Value
	has.Store("")
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			has.Store(lines.Text())
		}
	}()
	handled := newTally()
	m := join(GroupOptions{Group: named("crash"), Topic: topic, Handle: handled.handle})
	until("both to have their share", func() bool { return len(m.Assigned()) == 3 && has.Load() == "3" })
	must(produce(c, ProducerOptions{}, numbered(topic, 0, 300)...))
	must(member.Process.Kill())
	until("the other to have all", func() bool { return len(m.Assigned()) == 6 })
	// What the killed one had processed and not committed is there again.
	until("all records", func() bool { return handled.distinct() == 300 })
	say("after a crash: %s, %s", shares([]Member{m}, 6), described(named("crash")))
	m.Close()
	// Killed.
	_ = member.Wait()
}

// crashMember is the process that is killed: it commits nothing, and says how many partitions it has.
func crashMember(c Client) {
	m := c.Join(GroupOptions{Group: named("crash"), Topic: named("crash"), New: true, Commit: "manual", Handle: func(Record) {}})
	told := -1
	until("being killed", func() bool {
		if count := len(m.Assigned()); count != told {
			say("%d", count)
			told = count
		}
		return false
	})
}
