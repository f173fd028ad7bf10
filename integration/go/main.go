// Scenarios for the Go clients: `client CLIENT SCENARIO` prints what it saw (see ../README.md).
//
// A scenario is written once, against the small interface in client.go; one file per library adapts it.
package main

import (
	"fmt"
	"log"
	"os"
)

var clients = map[string]Client{
	"franz-go": franz{},
	"sarama":   saramaClient{},
	"kafka-go": kafkaGo{},
}

var scenarios = map[string]func(Client){
	"codecs":      codecs,
	"keys":        keys,
	"headers":     headers,
	"nulls":       nulls,
	"timestamps":  timestamps,
	"batches":     batches,
	"sizes":       sizes,
	"seek":        seek,
	"idempotence": idempotence,
	"groups":      groups,
	"cooperative": cooperative,
	"static":      static,
	"commit":      commit,
	"reset":       reset,
	"pause":       pause,
	"regex":       regex,
	"topics":      topics,
	"admin":       admin,
	"restart":     restart,

	"transactions": transactions,
	"exactly-once": exactlyOnce,
	"new-protocol": newProtocol,
	// Processes of the two before.
	"worker":       work,
	"crash-member": crashMember,
}

func main() {
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	if len(os.Args) > 2 && os.Args[1] == "bench" && benches[os.Args[2]] != nil {
		benches[os.Args[2]](os.Args[3:])
		return
	}
	if len(os.Args) == 3 && os.Args[1] == "sr" && registries[os.Args[2]] != nil {
		registries[os.Args[2]]()
		return
	}
	if len(os.Args) != 3 || clients[os.Args[1]] == nil || scenarios[os.Args[2]] == nil {
		fmt.Fprintln(os.Stderr, "usage: client franz-go|sarama|kafka-go|sr SCENARIO")
		os.Exit(2)
	}
	scenarios[os.Args[2]](clients[os.Args[1]])
}
