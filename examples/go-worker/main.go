// A Muster worker in Go: one task type, started with MUSTER_SCHEDULER_ADDR, WORKER_ID and MUSTER_TOKEN as the SDK's workers are.
package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"time"

	"muster-go-worker/worker"
)

func main() {
	hostname, _ := os.Hostname()
	os.Exit(worker.Run(worker.Options{
		Addresses:       strings.Split(orDefault(os.Getenv("MUSTER_SCHEDULER_ADDR"), "127.0.0.1:7070"), ","),
		ID:              orDefault(os.Getenv("WORKER_ID"), "go-"+hostname),
		Token:           os.Getenv("MUSTER_TOKEN"),
		Slots:           4,
		Handlers:        map[string]worker.Handler{"greet": greet},
		Startup:         func() error { return nil },
		RegisterTimeout: time.Minute,
		DrainTimeout:    time.Minute,
	}))
}

func greet(ctx context.Context, attempt *worker.Attempt) (any, error) {
	var input struct {
		Name    string
		Seconds float64
	}
	if err := json.Unmarshal(attempt.Payload, &input); err != nil {
		return nil, &worker.Failure{Code: "INVALID_PAYLOAD", Message: "the payload is not JSON with a name"}
	}
	attempt.Phase("greeting")
	defer attempt.Phase("")
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(time.Duration(input.Seconds * float64(time.Second))):
		return "Hello " + input.Name, nil
	}
}

func orDefault(value, other string) string {
	if value == "" {
		return other
	}
	return value
}
