package main

import "errors"

// errAbsent answers what a client has no call for.
var errAbsent = errors.New("not in this client")

// Record is a record as sent (Offset unused) or as read.
type Record struct {
	Topic       string
	Partition   int32
	Offset      int64
	Key, Value  []byte
	Headers     []Header
	TimestampMs int64
}

type Header struct {
	Key   string
	Value []byte
}

// ProducerOptions: the zero value is the client's own default with acks=all.
type ProducerOptions struct {
	Codec        string
	Idempotent   bool
	ByPartition  bool // Record.Partition decides, not the client's partitioner.
	MaxBytes     int  // The client's own limit of a batch or message; 0 leaves its default.
	RetryForever bool // Outlasts a broker's restart.
}

// Position is where a reader begins: "start", "end", "offset" or "time" (Value is an offset or milliseconds).
type Position struct {
	Kind  string
	Value int64
	Reset string // What an offset out of range does: "earliest", "latest" or "" for an error.
	// Committed leaves out what is not, or not yet, committed.
	Committed bool
}

type GroupOptions struct {
	Group, Topic string
	Pattern      string // Instead of Topic.
	Instance     string // group.instance.id
	Cooperative  bool
	Reset        string // auto.offset.reset; "" is earliest.
	New          bool   // The consumer protocol: the broker assigns.
	Commit       string // "each": what was handled is committed before a partition goes; "auto": the client's; "manual".
	Handle       func(Record)
}

// Traits is in what the libraries differ.
type Traits struct {
	// Idempotent: it has the idempotent producer.
	Idempotent bool
	// Revives: a group member asks for its topic in a way that makes it anew, and so must not run while it is deleted.
	Revives bool
}

// Client is one library.
type Client interface {
	Producer(ProducerOptions) Producer
	// Reader reads one partition without a group.
	Reader(topic string, partition int32, at Position) Reader
	// Join starts a group member that handles records on its own until it is closed.
	Join(GroupOptions) Member
	Admin() Admin
	Traits() Traits
	// Code is the Kafka error code inside an error of this library.
	Code(error) (int16, bool)
}

// Transactional is a library that has transactions.
type Transactional interface {
	Client
	// Transactions begins a producer with a transactional id, which fences those before it; timeoutMs 0 is its own default.
	Transactions(id string, timeoutMs int) (Transactions, error)
	// Work consumes one topic, and produces and commits in transactions, until it is told to stop or fails.
	Work(Worker) error
}

// Transactions is a transactional producer.
type Transactions interface {
	Begin() error
	// Produce returns when each record is acknowledged or has failed.
	Produce(...Record) error
	Commit() error
	Abort() error
	Close()
}

// Worker is what a process of the exactly-once scenario does: each record of From goes to the same partition of To.
type Worker struct {
	ID, Group, From, To string
	Stop                <-chan struct{}
	// Committed is called after each transaction.
	Committed func()
}

type Producer interface {
	// Produce returns when each record is acknowledged or has failed: the first error.
	Produce(...Record) error
	// Forget does what the library asks of its user when a topic was deleted and made again.
	Forget(topic string)
	Close()
}

type Reader interface {
	Next() (Record, error)
	Close()
}

type Member interface {
	// Assigned is the member's partitions as "topic/partition", sorted.
	Assigned() []string
	// Rebalances counts the assignments that the member was given.
	Rebalances() int
	Commit(topic string, partition int32, next int64, metadata string) error
	CommitAsync(topic string, partition int32, next int64) error
	Pause(topic string, partition int32) error
	Resume(topic string, partition int32) error
	Forget(topic string)
	// Err is the error that ended the member, if one did.
	Err() error
	Close()
}

type Committed struct {
	Offset   int64
	Metadata string
}

type Admin interface {
	Create(topic string, partitions int32, configs map[string]string) error
	Grow(topic string, total int32) error
	Delete(topic string) error
	Partitions(topic string) (int, error)
	Topics() ([]string, error)
	Config(topic, key string) (string, error)
	SetConfig(topic, key, value string) error
	// Offsets of the partition for a time in milliseconds, -1 (end) or -2 (start).
	Offset(topic string, partition int32, timeMs int64) (int64, error)
	DeleteRecords(topic string, partition int32, before int64) error
	Groups() ([]string, error)
	GroupState(group string) (state string, members int, err error)
	DeleteGroup(group string) error
	Committed(group, topic string) (map[int32]Committed, error)
	CommitFor(group, topic string, partition int32, next int64) error
	Brokers() (brokers int, controllerKnown bool, err error)
	Close()
}
