// The Go module github.com/awslabs/kinesis-aggregation/go/v2, which only reads: `codec check|read SHAPE`. See ../measure.py.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/awslabs/kinesis-aggregation/go/v2/deaggregator"
)

type userRecord struct {
	key  string
	data []byte
}

type shape struct {
	aggregate []byte
	users     []userRecord
}

// load gives each aggregate of a shape, with its user records.
func load(path string) (shapes []shape) {
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
		next := shape{aggregate: chunk()}
		for count := number(); count > 0; count-- {
			key := string(chunk())
			next.users = append(next.users, userRecord{key, chunk()})
		}
		shapes = append(shapes, next)
	}
	return shapes
}

func read(data []byte) []types.Record {
	key, sequence := "a", "1"
	records, err := deaggregator.DeaggregateRecords([]types.Record{{Data: data, PartitionKey: &key, SequenceNumber: &sequence}})
	if err != nil {
		log.Fatal(err)
	}
	return records
}

func check(shapes []shape) {
	for _, shape := range shapes {
		records := read(shape.aggregate)
		if len(records) != len(shape.users) {
			log.Fatalf("%d records were read instead of %d", len(records), len(shape.users))
		}
		for index, record := range records {
			if *record.PartitionKey != shape.users[index].key || !bytes.Equal(record.Data, shape.users[index].data) {
				log.Fatalf("record %d differs", index)
			}
		}
	}
}

func versions() string {
	var versions []string
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if strings.Contains(module.Path, "kinesis-aggregation") || module.Path == "google.golang.org/protobuf" {
				versions = append(versions, module.Path+" "+module.Version)
			}
		}
	}
	return strings.Join(append(versions, "Go "+strings.TrimPrefix(runtime.Version(), "go")), ", ")
}

func main() {
	shapes := load(os.Args[2])
	if os.Args[1] == "check" {
		check(shapes)
		return
	}
	var aggregates [][]byte
	var counts []int
	for _, shape := range shapes {
		aggregates = append(aggregates, shape.aggregate)
		counts = append(counts, len(shape.users))
	}
	shapes = nil
	fmt.Println(versions())
	// Reads one aggregate after the other, again and again, for as long as each order says.
	for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
		limit, err := strconv.ParseFloat(orders.Text(), 64)
		if err != nil {
			log.Fatal(err)
		}
		count, times, begin := 0, []float64{}, time.Now()
		for time.Since(begin).Seconds() < limit {
			for index, data := range aggregates {
				before := time.Now()
				read(data)
				times = append(times, time.Since(before).Seconds())
				count += counts[index]
			}
		}
		seconds := time.Since(begin).Seconds()
		slices.Sort(times)
		at := func(share float64) float64 { return times[int(float64(len(times)-1)*share)] }
		answer := map[string]any{"records": count, "seconds": seconds, "p50": at(0.5), "p99": at(0.99)}
		if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
			log.Fatal(err)
		}
	}
}
