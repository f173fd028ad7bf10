package main

import (
	"bufio"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	eosPartitions = 3
	slots         = 2
	kills         = 6 // How often a worker is killed.
)

// exactlyOnce kills workers at random and starts them again; at last one is only stopped, and is a zombie when it goes on.
func exactlyOnce(c Client) {
	p := startPipeline(c)
	defer p.stop()
	for kill := range kills {
		p.goesOn(fmt.Sprintf("after %d kills", kill))
		time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
		slot := rand.IntN(slots)
		p.workers[slot].end(syscall.SIGKILL)
		p.workers[slot] = p.worker(slot)
	}
	p.goesOn("before the zombie")
	say("killed %d", kills)
	// Before it has begun to work, its return would be that of the newer one.
	p.until("the zombie-to-be works", p.workers[0].working.Load)
	zombie := p.workers[0]
	must(zombie.command.Process.Signal(syscall.SIGSTOP))
	p.workers[0] = p.worker(0)
	p.until("the replacement works", func() bool { return p.workers[0].working.Load() })
	must(zombie.command.Process.Signal(syscall.SIGCONT))
	p.until("the zombie ends", zombie.ended.Load)
	// Sarama does not always say that it was fenced, only that it cannot go on.
	say("the zombie gives up: %t", zombie.command.ProcessState.ExitCode() != 0)
	p.finish()
}

// pipeline is a load on the input, and the workers.
type pipeline struct {
	c            Client
	source, sink string
	workers      [slots]*workerProcess
	produced     int
	stopping     chan struct{}
	loading      sync.WaitGroup
}

func startPipeline(c Client) *pipeline {
	p := &pipeline{c: c, source: named("in"), sink: named("out"), stopping: make(chan struct{})}
	create(c, p.source, eosPartitions, nil)
	create(c, p.sink, eosPartitions, nil)
	for slot := range slots {
		p.workers[slot] = p.worker(slot)
	}
	p.loading.Go(p.load)
	return p
}

func (p *pipeline) load() {
	producer := p.c.Producer(ProducerOptions{Idempotent: true, ByPartition: true, RetryForever: true})
	defer producer.Close()
	for {
		select {
		case <-p.stopping:
			return
		case <-time.After(20 * time.Millisecond):
		}
		var records []Record
		for range 10 {
			records = append(records, Record{Topic: p.source, Partition: int32(p.produced % eosPartitions), Value: []byte(strconv.Itoa(p.produced))})
			p.produced++
		}
		must(producer.Produce(records...))
	}
}

// until waits; a worker that ended meanwhile is started again, as whoever runs it would.
func (p *pipeline) until(what string, holds func() bool) {
	until(what, func() bool {
		for slot, w := range p.workers {
			if w.ended.Load() {
				log.Printf("worker %d ended: %v", slot, w.command.ProcessState)
				p.workers[slot] = p.worker(slot)
			}
		}
		return holds()
	})
}

func (p *pipeline) goesOn(when string) {
	before := p.stable()
	p.until("records come out "+when, func() bool { return p.stable() > before+100 })
}

func (p *pipeline) stable() (sum int64) {
	stable, _ := ends(p.sink)
	for _, offset := range stable {
		sum += offset
	}
	return sum
}

func (p *pipeline) stop() {
	for _, w := range p.workers {
		w.end(syscall.SIGKILL)
	}
}

// finish says what is in the output when all of the input is worked off.
func (p *pipeline) finish() {
	close(p.stopping)
	p.loading.Wait()
	a := franz{}.Admin()
	defer a.Close()
	_, high := ends(p.source)
	p.until("all of the input is worked off", func() bool {
		committed := got(a.Committed(named("eos"), p.source))
		for partition, offset := range high {
			if committed[int32(partition)].Offset != offset {
				return false
			}
		}
		return true
	})
	for _, w := range p.workers {
		w.end(syscall.SIGTERM)
	}
	settle(p.sink)
	count, distinct := 0, map[string]bool{}
	for partition := range int32(eosPartitions) {
		last := Record{Topic: p.sink, Partition: partition, Value: []byte("the last")}
		must(produce(p.c, ProducerOptions{ByPartition: true}, last))
		r := p.c.Reader(p.sink, partition, Position{Kind: "start", Committed: true})
		within("reading the output", func() {
			for {
				record := got(r.Next())
				if string(record.Value) == "the last" {
					return
				}
				count++
				distinct[string(record.Value)] = true
			}
		})
		r.Close()
	}
	say("duplicates %d, lost %d", count-len(distinct), p.produced-len(distinct))
}

// workerProcess is the process of a slot; working when it has committed its first transaction.
type workerProcess struct {
	command        *exec.Cmd
	working, ended atomic.Bool
	gone           chan struct{}
}

func (p *pipeline) worker(slot int) *workerProcess {
	w := &workerProcess{command: exec.Command(got(os.Executable()), os.Args[1], "worker"), gone: make(chan struct{})}
	w.command.Env = append(os.Environ(), fmt.Sprint("SLOT=", slot))
	w.command.Stderr = os.Stderr
	out := got(w.command.StdoutPipe())
	must(w.command.Start())
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			w.working.Store(true)
		}
		if err := w.command.Wait(); err != nil {
			log.Printf("worker %d: %v", slot, err)
		}
		w.ended.Store(true)
		close(w.gone)
	}()
	return w
}

func (w *workerProcess) end(how os.Signal) {
	if w.ended.Load() {
		return
	}
	must(w.command.Process.Signal(how))
	within("the end of a worker", func() { <-w.gone })
}

// work is what runs in a worker's process.
func work(c Client) {
	stop := make(chan struct{})
	ask := make(chan os.Signal, 1)
	signal.Notify(ask, syscall.SIGTERM)
	go func() { <-ask; close(stop) }()
	err := c.(Transactional).Work(Worker{
		ID: named("worker-" + os.Getenv("SLOT")), Group: named("eos"), From: named("in"), To: named("out"),
		Stop: stop, Committed: func() { say("working") },
	})
	if err == nil {
		return
	}
	log.Printf("worker: %s, %v", nameOf(c, err), err)
	os.Exit(1)
}
