package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"log"
	"strings"
	"time"
)

// base is the time of the first record where a scenario gives times itself: 2023-11-14.
const base = 1_700_000_000_000

// keepOld lets records of that time stay.
var keepOld = map[string]string{"retention.ms": "-1"}

func codecs(c Client) {
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		topic := named(codec)
		create(c, topic, 1, nil)
		sent := make([]Record, 100)
		for i := range sent {
			sent[i] = Record{Topic: topic, Value: bytes.Repeat([]byte(fmt.Sprintf("%s %d ", codec, i)), 20)}
		}
		must(produce(c, ProducerOptions{Codec: codec}, sent...))
		same := 0
		for i, r := range readFrom(c, topic, start, 100) {
			if bytes.Equal(r.Value, sent[i].Value) && r.Offset == int64(i) {
				same++
			}
		}
		say("%s: same %d", codec, same)
	}
}

func keys(c Client) {
	topic := named("keys")
	create(c, topic, 6, nil)
	p := c.Producer(ProducerOptions{})
	for i := range 20 {
		must(p.Produce(Record{Topic: topic, Key: []byte(fmt.Sprintf("key-%02d", i)), Value: []byte("v")}))
	}
	p.Close()
	a := c.Admin()
	defer a.Close()
	lines := map[string]int{}
	for partition := range int32(6) {
		end := got(a.Offset(topic, partition, -1))
		if end == 0 {
			continue
		}
		r := c.Reader(topic, partition, start)
		for _, record := range readN(r, int(end)) {
			lines[string(record.Key)] = int(record.Partition)
		}
		r.Close()
	}
	for i := range 20 {
		key := fmt.Sprintf("key-%02d", i)
		say("%s %d", key, lines[key])
	}
}

// show tells null from empty.
func show(b []byte) string {
	if b == nil {
		return "null"
	}
	return fmt.Sprintf("%q", b)
}

func headers(c Client) {
	topic := named("headers")
	create(c, topic, 1, nil)
	must(produce(c, ProducerOptions{},
		Record{Topic: topic, Value: []byte("none")},
		Record{Topic: topic, Value: []byte("one"), Headers: []Header{{"a", []byte("1")}}},
		Record{Topic: topic, Value: []byte("duplicates"), Headers: []Header{{"a", []byte("1")}, {"b", []byte("2")}, {"a", []byte("3")}, {"a", []byte("1")}}},
		Record{Topic: topic, Value: []byte("null"), Headers: []Header{{"n", nil}, {"e", []byte{}}, {"", []byte("no name")}}},
		Record{Topic: topic, Value: []byte("bytes"), Headers: []Header{{"ключ", []byte{0, 255, 254}}}},
	))
	for _, r := range readFrom(c, topic, start, 5) {
		line := string(r.Value) + ":"
		for _, h := range r.Headers {
			line += fmt.Sprintf(" %s=%s", h.Key, show(h.Value))
		}
		say("%s", line)
	}
}

func nulls(c Client) {
	topic := named("nulls")
	create(c, topic, 1, nil)
	must(produce(c, ProducerOptions{},
		Record{Topic: topic, Value: []byte("v")},
		Record{Topic: topic, Key: []byte("k")},
		Record{Topic: topic},
		Record{Topic: topic, Key: []byte{}, Value: []byte{}},
		Record{Topic: topic, Key: []byte("k"), Value: []byte("v")},
	))
	for _, r := range readFrom(c, topic, start, 5) {
		say("key %s value %s", show(r.Key), show(r.Value))
	}
}

func timestamps(c Client) {
	created, appended := named("create-time"), named("append-time")
	create(c, created, 1, keepOld)
	create(c, appended, 1, map[string]string{"message.timestamp.type": "LogAppendTime"})
	began := time.Now().UnixMilli()
	for _, topic := range []string{created, appended} {
		p := c.Producer(ProducerOptions{})
		for i := range 5 {
			must(p.Produce(Record{Topic: topic, Value: []byte("v"), TimestampMs: base + int64(i)*1000}))
		}
		p.Close()
	}
	for _, r := range readFrom(c, created, start, 5) {
		say("create time: offset %d at base+%d", r.Offset, r.TimestampMs-base)
	}
	for _, r := range readFrom(c, appended, start, 5) {
		now := time.Now().UnixMilli()
		say("append time: offset %d, the broker's time %t", r.Offset, began-1000 <= r.TimestampMs && r.TimestampMs <= now+1000)
	}
	a := c.Admin()
	defer a.Close()
	for _, after := range []int64{-1000, 0, 1, 1500, 2000, 4000, 4001} {
		say("offset for base%+d: %d", after, got(a.Offset(created, 0, base+after)))
	}
	say("append time, offset for base: %d", got(a.Offset(appended, 0, base)))
	say("append time, offset for an hour ahead: %d", got(a.Offset(appended, 0, time.Now().UnixMilli()+3_600_000)))
}

func batches(c Client) {
	for _, n := range []int{1, 10_000} {
		topic := named(fmt.Sprint("batch-", n))
		create(c, topic, 1, nil)
		must(produce(c, ProducerOptions{}, numbered(topic, 0, n)...))
		ordered, sum := true, sha256.New()
		for i, r := range readFrom(c, topic, start, n) {
			ordered = ordered && r.Offset == int64(i) && string(r.Value) == fmt.Sprint(i)
			fmt.Fprintf(sum, "%s=%s\n", r.Key, r.Value)
		}
		say("%d: in order %t, checksum %x", n, ordered, sum.Sum(nil)[:8])
	}
}

// overhead is what a batch of one record without key and headers has beside its value: 61 bytes of batch header, 3 of
// the record's length, 3 of the value's (both up to 2 MiB), 5 of attributes, deltas, null key and header count.
const overhead = 72

func sizes(c Client) {
	small, plain := named("small"), named("plain")
	create(c, small, 1, map[string]string{"max.message.bytes": "100000"})
	create(c, plain, 1, nil)
	for _, t := range []struct {
		topic string
		size  int
	}{{small, 99_999}, {small, 100_000}, {small, 100_001}, {plain, 1_048_588}, {plain, 1_048_589}} {
		record := Record{Topic: t.topic, Value: bytes.Repeat([]byte("x"), t.size-overhead)}
		err := produce(c, ProducerOptions{MaxBytes: 1_100_000}, record)
		say("a batch of %d bytes to %s: %s", t.size, strings.TrimPrefix(t.topic, runID+"-"), nameOf(c, err))
	}
	a := c.Admin()
	defer a.Close()
	for _, topic := range []string{small, plain} {
		end := got(a.Offset(topic, 0, -1))
		for _, r := range readFrom(c, topic, start, int(end)) {
			say("offset %d: %d bytes of value", r.Offset, len(r.Value))
		}
	}
}

func seek(c Client) {
	topic := named("seek")
	create(c, topic, 1, keepOld)
	p := c.Producer(ProducerOptions{})
	defer p.Close()
	for batch := range 10 {
		records := numbered(topic, batch*100, batch*100+100)
		for i := range records {
			records[i].TimestampMs = base + int64(batch*100+i)
		}
		must(p.Produce(records...))
	}
	for _, at := range []Position{
		{Kind: "start"},
		{Kind: "offset", Value: 0},
		{Kind: "offset", Value: 155},
		{Kind: "offset", Value: 999},
		{Kind: "time", Value: base + 333},
		{Kind: "offset", Value: 5000, Reset: "earliest"},
	} {
		r := readFrom(c, topic, at, 1)[0]
		say("%s: %d %s", strings.TrimSpace(fmt.Sprintf("%s %d %s", at.Kind, at.Value%base, at.Reset)), r.Offset, r.Value)
	}
	for _, at := range []Position{
		{Kind: "end"},
		{Kind: "offset", Value: 1000}, // The end itself is in range.
		{Kind: "offset", Value: 5000, Reset: "latest"},
	} {
		r := readNew(c, p, topic, at)
		say("%s: nothing old %t", strings.TrimSpace(fmt.Sprintf("%s %d %s", at.Kind, at.Value, at.Reset)), r.Offset >= 1000)
	}
	r := c.Reader(topic, 0, Position{Kind: "offset", Value: 500_000})
	defer r.Close()
	within("an answer out of range", func() {
		_, err := r.Next()
		say("out of range: %s", nameOf(c, err))
	})
}

// readNew sends a record again and again until the reader, which begins at the end, sees one.
func readNew(c Client, p Producer, topic string, at Position) (seen Record) {
	r := c.Reader(topic, 0, at)
	defer r.Close()
	first := make(chan Record, 1)
	go func() { first <- got(r.Next()) }()
	until("a record after the end", func() bool {
		must(p.Produce(Record{Topic: topic, Value: []byte("new"), TimestampMs: base + 5000}))
		select {
		case seen = <-first:
			return true
		case <-time.After(50 * time.Millisecond):
			return false
		}
	})
	return seen
}

func idempotence(c Client) {
	topic := named("idempotence")
	create(c, topic, 3, nil)
	p := c.Producer(ProducerOptions{Idempotent: true})
	for from := 0; from < 5000; from += 500 {
		must(p.Produce(numbered(topic, from, from+500)...))
	}
	p.Close()
	a := c.Admin()
	defer a.Close()
	seen, ordered := map[string]int{}, true
	total := 0
	for partition := range int32(3) {
		end := int(got(a.Offset(topic, partition, -1)))
		total += end
		r := c.Reader(topic, partition, start)
		last := -1
		for _, record := range readN(r, end) {
			var number int
			fmt.Sscan(string(record.Value), &number)
			ordered = ordered && number > last
			last = number
			seen[string(record.Value)]++
		}
		r.Close()
	}
	log.Printf("read %d", total)
	say("delivered 5000, consumed %d, duplicates %d, in order %t", total, total-len(seen), ordered)
}
