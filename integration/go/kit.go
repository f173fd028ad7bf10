package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// deadline bounds every wait: a little less than the harness's own, so that the message says what hung.
const deadline = 45 * time.Second

var (
	bootstrap = os.Getenv("BOOTSTRAP")
	runID     = os.Getenv("RUN_ID")
)

// named makes a topic or group of this run.
func named(name string) string { return runID + "-" + name }

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func must(err error) {
	if err != nil {
		log.Output(2, err.Error())
		os.Exit(1)
	}
}

func got[T any](value T, err error) T {
	if err != nil {
		log.Output(2, err.Error())
		os.Exit(1)
	}
	return value
}

// until waits for a condition.
func until(what string, holds func() bool) {
	for end := time.Now().Add(deadline); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			log.Fatalf("waited in vain for: %s", what)
		}
	}
}

// within runs something that ought to return.
func within(what string, run func()) {
	done := make(chan struct{})
	go func() { run(); close(done) }()
	select {
	case <-done:
	case <-time.After(deadline):
		log.Fatalf("did not return: %s", what)
	}
}

// nameOf is "ok" or Kafka's name of the error.
func nameOf(c Client, err error) string {
	if err == nil {
		return "ok"
	}
	if errors.Is(err, errAbsent) {
		return err.Error()
	}
	if code, ok := c.Code(err); ok {
		var known *kerr.Error
		if errors.As(kerr.ErrorForCode(code), &known) {
			return known.Message
		}
		return strconv.Itoa(int(code))
	}
	log.Printf("an error without a code: %T %v", err, err)
	return "another error"
}

func broker(command string) {
	out, err := exec.Command(os.Getenv("BROKER_CTL"), command).CombinedOutput()
	log.Printf("broker %s: %s", command, out)
	must(err)
}

// numbered makes records 0, 1, 2... with their number as value.
func numbered(topic string, from, to int) []Record {
	var records []Record
	for i := from; i < to; i++ {
		records = append(records, Record{Topic: topic, Key: []byte(fmt.Sprint("k", i)), Value: []byte(strconv.Itoa(i))})
	}
	return records
}

// readN reads the next n records, in order.
func readN(r Reader, n int) []Record {
	var records []Record
	within(fmt.Sprintf("reading %d records", n), func() {
		for len(records) < n {
			records = append(records, got(r.Next()))
		}
	})
	return records
}

// readFrom reads n records of partition 0 from a position.
func readFrom(c Client, topic string, at Position, n int) []Record {
	r := c.Reader(topic, 0, at)
	defer r.Close()
	return readN(r, n)
}

var start = Position{Kind: "start"}

// produce sends records with a producer of their own.
func produce(c Client, o ProducerOptions, records ...Record) error {
	p := c.Producer(o)
	defer p.Close()
	return p.Produce(records...)
}

func create(c Client, topic string, partitions int32, configs map[string]string) {
	a := c.Admin()
	defer a.Close()
	must(a.Create(topic, partitions, configs))
}
