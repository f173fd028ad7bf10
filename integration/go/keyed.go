package main

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func init() { benches["keyed"] = benchKeyed }

// benchKeyed TOPIC RECORDS SIZE CODEC KEYS: a compacted topic of one partition that is held back (min.cleanable.dirty.ratio
// is 1), and a history of RECORDS values of SIZE bytes over KEYS keys at random, the same each time.
func benchKeyed(words []string) {
	topic, records, size, codec, keys := words[0], number(words[1]), number(words[2]), words[3], number(words[4])
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "lz4": kgo.Lz4Compression()}
	cl := franz{}.client(kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(codecs[codec]))
	defer cl.Close()
	configs := map[string]*string{
		"cleanup.policy": kadm.StringPtr("compact"), "min.cleanable.dirty.ratio": kadm.StringPtr("1.0"),
		"segment.bytes": kadm.StringPtr("67108864"),
	}
	got(kadm.NewClient(cl).CreateTopic(background, 1, 1, configs, topic))
	random := rand.New(rand.NewPCG(1, uint64(size)))
	var failed atomic.Int64
	for range records {
		key := fmt.Appendf(nil, "key-%08d", random.IntN(keys))
		value := make([]byte, size-len(key))
		// Digits: they compress to about half.
		for i := range value {
			value[i] = '0' + byte(random.UintN(10))
		}
		cl.Produce(background, &kgo.Record{Key: key, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Add(1)
			}
		})
	}
	must(cl.Flush(background))
	figure("failed", failed.Load())
}
