package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The loads of the benchmark that Kafka's own performance tools do not have; each prints `name<tab>value` lines.
var benches = map[string]func(words []string){
	"transactions": benchTransactions,
	"rebalance":    benchRebalance,
	"settle":       benchSettle,
	"heartbeats":   benchHeartbeats,
	"member":       benchMember,
}

func figure(name string, value any) { fmt.Printf("%s\t%v\n", name, value) }

func number(word string) int { return got(strconv.Atoi(word)) }

func createTopic(topic string, partitions int) {
	cl := franz{}.client()
	defer cl.Close()
	got(kadm.NewClient(cl).CreateTopic(background, int32(partitions), 1, nil, topic))
}

// benchTransactions PRODUCERS SECONDS: each producer begins, sends ten records and commits, as fast as it can.
func benchTransactions(words []string) {
	producers, seconds := number(words[0]), number(words[1])
	topic := named("transactions-" + words[0])
	createTopic(topic, 8)
	var mutex sync.Mutex
	var commits []time.Duration
	var ready, running sync.WaitGroup
	begin := make(chan time.Time)
	ready.Add(producers)
	for n := range producers {
		running.Go(func() {
			cl := franz{}.client(kgo.TransactionalID(named(fmt.Sprintf("bench-%d-%d", producers, n))), kgo.DefaultProduceTopic(topic))
			defer cl.Close()
			transaction(cl)
			ready.Done()
			var own []time.Duration
			for end := (<-begin).Add(time.Duration(seconds) * time.Second); time.Now().Before(end); {
				own = append(own, transaction(cl))
			}
			mutex.Lock()
			commits = append(commits, own...)
			mutex.Unlock()
		})
	}
	ready.Wait()
	start := time.Now()
	for range producers {
		begin <- start
	}
	running.Wait()
	took := time.Since(start).Seconds()
	slices.Sort(commits)
	figure("count", len(commits))
	figure("transactions/s", int(float64(len(commits))/took))
	figure("commit p50 ms", milliseconds(percentile(commits, 50)))
	figure("commit p99 ms", milliseconds(percentile(commits, 99)))
}

// transaction returns how long the commit took.
func transaction(cl *kgo.Client) time.Duration {
	must(cl.BeginTransaction())
	var records []*kgo.Record
	for n := range 10 {
		records = append(records, &kgo.Record{Key: []byte(strconv.Itoa(n % 2)), Value: make([]byte, 100)})
	}
	must(cl.ProduceSync(background, records...).FirstErr())
	begin := time.Now()
	must(cl.EndTransaction(background, kgo.TryCommit))
	return time.Since(begin)
}

func percentile(sorted []time.Duration, percent int) time.Duration {
	return sorted[min(len(sorted)*percent/100, len(sorted)-1)]
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()*1000) }

// groupMember is a member that counts what it owns.
type groupMember struct {
	cl    *kgo.Client
	owned atomic.Int64
}

func joinGroup(protocol, group, topic string) *groupMember {
	m := &groupMember{}
	count := func(sign int64) func(map[string][]int32) {
		return func(partitions map[string][]int32) { m.owned.Add(sign * int64(len(partitions[topic]))) }
	}
	add, remove := count(1), count(-1)
	opts := []kgo.Opt{
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.SessionTimeout(6 * time.Second), kgo.HeartbeatInterval(time.Second),
		kgo.FetchMaxWait(5 * time.Second), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { add(p) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { remove(p) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { remove(p) }),
	}
	if protocol == "consumer" {
		opts = append(opts, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	} else {
		opts = append(opts, kgo.Balancers(kgo.CooperativeStickyBalancer()))
	}
	m.cl = franz{}.client(opts...)
	go func() {
		for {
			if fetches := m.cl.PollFetches(background); fetches.IsClientClosed() {
				return
			}
		}
	}()
	return m
}

// benchRebalance PROTOCOL: four members own 100 partitions; one is killed; how long until the others own all.
func benchRebalance(words []string) {
	protocol := words[0]
	topic, group := named("rebalance-"+protocol), named("rebalance-"+protocol)
	createTopic(topic, 100)
	var members []*groupMember
	for range 3 {
		members = append(members, joinGroup(protocol, group, topic))
	}
	victim := exec.Command(os.Args[0], "bench", "member", protocol, group, topic)
	victim.Stderr = os.Stderr
	out := got(victim.StdoutPipe())
	must(victim.Start())
	var victims atomic.Int64
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			victims.Store(int64(number(lines.Text())))
		}
	}()
	owned := func() (sum int64) {
		for _, m := range members {
			sum += m.owned.Load()
		}
		return sum
	}
	until("four members share", func() bool { return victims.Load() == 25 && owned() == 75 })
	begin := time.Now()
	must(victim.Process.Kill())
	until("three members own all", func() bool { return owned() == 100 })
	figure("seconds", fmt.Sprintf("%.2f", time.Since(begin).Seconds()))
	victim.Wait()
	for _, m := range members {
		m.cl.Close()
	}
}

// benchMember PROTOCOL GROUP TOPIC: a member in a process of its own, to be killed; it tells what it owns.
func benchMember(words []string) {
	m := joinGroup(words[0], words[1], words[2])
	for last := int64(-1); ; time.Sleep(5 * time.Millisecond) {
		if owned := m.owned.Load(); owned != last {
			fmt.Println(owned)
			last = owned
		}
	}
}

// benchSettle PROTOCOL MEMBERS PARTITIONS: all join at once; how long until each owns its share and nobody moves.
func benchSettle(words []string) {
	protocol, count, partitions := words[0], number(words[1]), number(words[2])
	topic, group := named("settle-"+protocol), named("settle-"+protocol)
	createTopic(topic, partitions)
	share := int64(partitions / count)
	begin := time.Now()
	members := make([]*groupMember, count)
	for n := range members {
		members[n] = joinGroup(protocol, group, topic)
	}
	settled := func() bool {
		return !slices.ContainsFunc(members, func(m *groupMember) bool { return m.owned.Load() != share })
	}
	for end := begin.Add(5 * time.Minute); !settled(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			log.Fatal("they did not settle")
		}
	}
	figure("seconds", fmt.Sprintf("%.2f", time.Since(begin).Seconds()))
	// Leaving one by one would rebalance as often.
	os.Exit(0)
}

// benchHeartbeats PROTOCOL SECONDS: 64 groups of one member each send heartbeats, one after the other, over 8 connections.
func benchHeartbeats(words []string) {
	protocol, seconds := words[0], number(words[1])
	topic := named("heartbeats-" + protocol)
	createTopic(topic, 1)
	var clients []*kgo.Client
	for range 8 {
		clients = append(clients, franz{}.client())
	}
	var beats atomic.Int64
	var ready, running sync.WaitGroup
	begin := make(chan time.Time)
	ready.Add(64)
	for n := range 64 {
		running.Go(func() {
			beat := oneMember(protocol, clients[n%8], named(fmt.Sprintf("heartbeats-%s-%d", protocol, n)), topic)
			ready.Done()
			for end := (<-begin).Add(time.Duration(seconds) * time.Second); time.Now().Before(end); {
				beat()
				beats.Add(1)
			}
		})
	}
	ready.Wait()
	// Who measures the broker's CPU begins here.
	figure("ready", 1)
	start := time.Now()
	for range 64 {
		begin <- start
	}
	running.Wait()
	figure("heartbeats", beats.Load())
	figure("heartbeats/s", int(float64(beats.Load())/time.Since(start).Seconds()))
}

// oneMember joins a group and returns what sends its next heartbeat.
func oneMember(protocol string, cl *kgo.Client, group, topic string) func() {
	if protocol == "consumer" {
		return consumerMember(cl, group, topic)
	}
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.ProtocolType = group, "consumer"
	join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 45_000, 45_000
	offer := kmsg.NewJoinGroupRequestProtocol()
	offer.Name = "range"
	join.Protocols = append(join.Protocols, offer)
	joined := got(join.RequestWith(background, cl))
	join.MemberID = joined.MemberID
	joined = got(join.RequestWith(background, cl))
	must(kerr.ErrorForCode(joined.ErrorCode))
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.MemberID, sync.Generation = group, joined.MemberID, joined.Generation
	sync.ProtocolType, sync.Protocol = joined.ProtocolType, joined.Protocol
	must(kerr.ErrorForCode(got(sync.RequestWith(background, cl)).ErrorCode))
	beat := kmsg.NewPtrHeartbeatRequest()
	beat.Group, beat.MemberID, beat.Generation = group, joined.MemberID, joined.Generation
	return func() { must(kerr.ErrorForCode(got(beat.RequestWith(background, cl)).ErrorCode)) }
}

func consumerMember(cl *kgo.Client, group, topic string) func() {
	beat := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	beat.Group, beat.MemberID = group, strings.ReplaceAll(group, "-", "")
	beat.RebalanceTimeoutMillis = 45_000
	beat.SubscribedTopicNames = []string{topic}
	beat.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	joined := got(beat.RequestWith(background, cl))
	must(kerr.ErrorForCode(joined.ErrorCode))
	beat.MemberEpoch, beat.RebalanceTimeoutMillis = joined.MemberEpoch, -1
	beat.SubscribedTopicNames, beat.Topics = nil, nil
	return func() { must(kerr.ErrorForCode(got(beat.RequestWith(background, cl)).ErrorCode)) }
}
