// Reads with github.com/awslabs/kinesis-aggregation/go/v2 and writes with github.com/a8m/kinesis-producer. See
// ../README.md.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	producer "github.com/a8m/kinesis-producer"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go/service/kinesis"
	"github.com/awslabs/kinesis-aggregation/go/v2/deaggregator"
)

type record struct {
	PartitionKey    *string         `json:"partitionKey"`
	ExplicitHashKey *string         `json:"explicitHashKey,omitempty"`
	Data            []byte          `json:"data"`
	SequenceNumber  *string         `json:"sequenceNumber,omitempty"`
	Tags            json.RawMessage `json:"tags,omitempty"`
}

// request is one of ../../../conformance/README.md.
type request struct {
	records
	Operation string                     `json:"operation"`
	Policy    string                     `json:"policy"`
	After     json.RawMessage            `json:"after"`
	Options   map[string]json.RawMessage `json:"options"`
}

type records struct {
	ID      string   `json:"id,omitempty"`
	Records []record `json:"records"`
	Errors  []string `json:"errors,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// stream takes what the producer sends.
type stream struct {
	records []record
}

func (s *stream) PutRecords(input *kinesis.PutRecordsInput) (*kinesis.PutRecordsOutput, error) {
	for _, entry := range input.Records {
		s.records = append(s.records, record{
			PartitionKey:    entry.PartitionKey,
			ExplicitHashKey: entry.ExplicitHashKey,
			Data:            entry.Data,
		})
	}
	failed := int64(0)
	return &kinesis.PutRecordsOutput{FailedRecordCount: &failed}, nil
}

func write(set records) (result records) {
	received := &stream{records: []record{}}
	peer := producer.New(&producer.Config{
		StreamName:     "any",
		Client:         received,
		MaxConnections: 1, // more would mix up the order
		FlushInterval:  time.Hour,
		Logger:         &producer.StdLogger{Logger: log.New(io.Discard, "", 0)},
	})
	peer.Start()
	for _, record := range set.Records {
		if err := peer.Put(record.Data, *record.PartitionKey); err != nil {
			result.Errors = append(result.Errors, err.Error())
		}
	}
	peer.Stop()
	result.Records = received.records
	return result
}

func read(batch records) (result records) {
	result.Records = []record{}
	defer func() {
		if panicked := recover(); panicked != nil {
			result.Error = fmt.Sprint("panic: ", panicked)
		}
	}()
	var received []types.Record
	for _, record := range batch.Records {
		received = append(received, types.Record{
			Data:           record.Data,
			PartitionKey:   record.PartitionKey,
			SequenceNumber: record.SequenceNumber,
		})
	}
	user, err := deaggregator.DeaggregateRecords(received)
	if err != nil {
		result.Error = err.Error()
	}
	for _, one := range user {
		data := one.Data
		if data == nil {
			data = []byte{}
		}
		result.Records = append(result.Records, record{
			PartitionKey:   one.PartitionKey,
			Data:           data,
			SequenceNumber: one.SequenceNumber,
		})
	}
	return result
}

func unsupported(what string) map[string]string {
	return map[string]string{"unsupported": what}
}

// conformance answers a request, under its id.
func conformance(asked request) any {
	switch answer := answerTo(asked).(type) {
	case map[string]string:
		answer["id"] = asked.ID
		return answer
	case records:
		answer.ID = asked.ID
		return answer
	default:
		return answer
	}
}

func answerTo(asked request) any {
	switch asked.Operation {
	case "version":
		return map[string]string{"version": version()}
	case "read":
		if asked.Policy != "" && asked.Policy != "error" {
			return unsupported("policy " + asked.Policy)
		}
		if asked.After != nil {
			return unsupported("resuming")
		}
		return read(asked.records)
	case "write":
		if asked.Policy != "" && asked.Policy != "wrapped" && asked.Policy != "first_key" {
			return unsupported("policy " + asked.Policy)
		}
		for name, value := range asked.Options {
			if name != "maxSize" || string(value) != "51200" {
				return unsupported("options " + name)
			}
		}
		for _, one := range asked.Records {
			if one.ExplicitHashKey != nil {
				return unsupported("explicit hash keys")
			}
			if one.Tags != nil {
				return unsupported("tags")
			}
		}
		return write(asked.records)
	}
	return unsupported("operation " + asked.Operation)
}

func version() string {
	var modules []string
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if strings.Contains(module.Path, "/kinesis-") || strings.HasSuffix(module.Path, "golang.org/protobuf") {
				modules = append(modules, module.Path+" "+module.Version)
			}
		}
	}
	return strings.Join(append(modules, "Go "+strings.TrimPrefix(runtime.Version(), "go")), ", ")
}

func main() {
	verb := os.Args[1]
	if verb == "version" {
		fmt.Println(version())
		return
	}
	work := map[string]func(request) any{
		"read":        func(asked request) any { return read(asked.records) },
		"write":       func(asked request) any { return write(asked.records) },
		"conformance": conformance,
	}[verb]
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	decoder := json.NewDecoder(in)
	encoder := json.NewEncoder(os.Stdout)
	for {
		var line request
		if err := decoder.Decode(&line); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		if err := encoder.Encode(work(line)); err != nil {
			log.Fatal(err)
		}
	}
}
