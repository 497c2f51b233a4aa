// Measures the Go module github.com/awslabs/kinesis-aggregation/go/v2: `peer SHAPES RESULT`. See ../run.sh.
// The module reads only, so there is no figure for writing.
package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/awslabs/kinesis-aggregation/go/v2/deaggregator"
)

const (
	warmUp  = time.Second
	measure = 3 * time.Second
)

type userRecord struct {
	key  string
	data []byte
}

// load gives the aggregates of a shape and all their user records.
func load(path string) (aggregates [][]byte, records []userRecord) {
	data, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	number := func() int {
		value := binary.BigEndian.Uint32(data)
		data = data[4:]
		return int(value)
	}
	chunk := func() []byte {
		length := number()
		value := bytes.Clone(data[:length])
		data = data[length:]
		return value
	}
	for len(data) > 0 {
		aggregates = append(aggregates, chunk())
		for count := number(); count > 0; count-- {
			key := string(chunk())
			records = append(records, userRecord{key, chunk()})
		}
	}
	return aggregates, records
}

// best gives the shortest time of one call, after a warm-up.
func best(work func()) time.Duration {
	for start := time.Now(); time.Since(start) < warmUp; {
		work()
	}
	shortest := time.Duration(1<<63 - 1)
	passes := 0
	for start := time.Now(); passes < 3 || time.Since(start) < measure; passes++ {
		before := time.Now()
		work()
		shortest = min(shortest, time.Since(before))
	}
	return shortest
}

func decode(batch []types.Record) []types.Record {
	records, err := deaggregator.DeaggregateRecords(batch)
	if err != nil {
		log.Fatal(err)
	}
	return records
}

func main() {
	shapes, result := os.Args[1], os.Args[2]
	figures := map[string]float64{}
	for _, size := range []int{20, 100, 1000} {
		aggregates, expected := load(filepath.Join(shapes, strconv.Itoa(size)+".bin"))
		key, sequence := "a", "1"
		total := 0
		var batch []types.Record
		for _, data := range aggregates {
			total += len(data)
			batch = append(batch, types.Record{Data: data, PartitionKey: &key, SequenceNumber: &sequence})
		}
		records := decode(batch)
		if len(records) != len(expected) {
			log.Fatalf("%d records were read instead of %d", len(records), len(expected))
		}
		for index, record := range records {
			if *record.PartitionKey != expected[index].key || !bytes.Equal(record.Data, expected[index].data) {
				log.Fatalf("record %d differs", index)
			}
		}
		records = nil
		figures[strconv.Itoa(size)] = float64(total) / best(func() { decode(batch) }).Seconds()
	}
	modules := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if strings.Contains(module.Path, "kinesis-aggregation") || module.Path == "google.golang.org/protobuf" {
				modules[module.Path] = module.Version
			}
		}
	}
	out, err := json.MarshalIndent(map[string]any{
		"language":         "Go",
		"language_version": strings.TrimPrefix(runtime.Version(), "go"),
		"modules":          modules,
		"decode":           figures,
		"encode":           map[string]float64{},
	}, "", "  ")
	if err == nil {
		err = os.WriteFile(result, out, 0o644)
	}
	if err != nil {
		log.Fatal(err)
	}
}
