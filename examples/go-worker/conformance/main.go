// The worker that `muster conformance` runs the example with: the task types that the suite needs.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"muster-go-worker/worker"
)

// input has the fields of all payloads.
type input struct {
	S, RetryAfter    float64
	Code, Phase      string
	Retryable        bool
	N, Chunks, Bytes int
}

func main() {
	os.Exit(worker.Run(worker.Options{
		Addresses: strings.Split(os.Getenv("MUSTER_SCHEDULER_ADDR"), ","), ID: os.Getenv("WORKER_ID"), Token: os.Getenv("MUSTER_TOKEN"),
		Slots: int(number("SLOTS", 4)), RegisterTimeout: seconds(number("WORKER_REGISTER_TIMEOUT_S", 60)),
		DrainTimeout: seconds(number("WORKER_DRAIN_TIMEOUT_S", 60)),
		Startup: func() error {
			time.Sleep(seconds(number("STARTUP_S", 0)))
			if os.Getenv("STARTUP_FAILS") != "" {
				return errors.New("the startup fails, as it was asked to")
			}
			return nil
		},
		Handlers: map[string]worker.Handler{
			"echo":  func(_ context.Context, a *worker.Attempt) (any, error) { return json.RawMessage(a.Payload), nil },
			"sleep": with(func(ctx context.Context, _ *worker.Attempt, in input) (any, error) { return nil, wait(ctx, in.S) }),
			"stubborn": with(func(_ context.Context, _ *worker.Attempt, in input) (any, error) {
				return "a value", wait(context.Background(), in.S)
			}),
			"block": with(block),
			"hold":  with(hold),
			"fail": with(func(_ context.Context, _ *worker.Attempt, in input) (any, error) {
				return nil, &worker.Failure{Code: in.Code, Message: "it failed, as it was asked to", Retryable: in.Retryable, RetryAfter: seconds(in.RetryAfter)}
			}),
			"boom": func(context.Context, *worker.Attempt) (any, error) { panic(errors.New("an ordinary panic")) },
			"crash": func(context.Context, *worker.Attempt) (any, error) {
				return nil, syscall.Kill(os.Getpid(), syscall.SIGKILL)
			},
			"die": func(ctx context.Context, _ *worker.Attempt) (any, error) {
				go panic("outside of every handler")
				return nil, wait(ctx, 60)
			},
			"phases": with(phases),
			"output": with(func(_ context.Context, a *worker.Attempt, in input) (any, error) {
				for range in.Chunks {
					a.Output([]byte(strings.Repeat("x", in.Bytes)))
				}
				return nil, nil
			}),
			"chatty": with(chatty),
			"big": with(func(_ context.Context, _ *worker.Attempt, in input) (any, error) {
				return strings.Repeat("x", in.N-2), nil
			}),
		},
	}))
}

// with decodes the payload.
func with(handler func(context.Context, *worker.Attempt, input) (any, error)) worker.Handler {
	return func(ctx context.Context, attempt *worker.Attempt) (any, error) {
		var raw struct {
			input
			RetryAfter float64 `json:"retry_after"`
		}
		if err := json.Unmarshal(attempt.Payload, &raw); err != nil {
			return nil, fmt.Errorf("the payload is no object: %w", err)
		}
		raw.input.RetryAfter = raw.RetryAfter
		return handler(ctx, attempt, raw.input)
	}
}

func wait(ctx context.Context, s float64) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(seconds(s)):
		return nil
	}
}

// block is the worst that a goroutine can do to others by waiting: a system call.
func block(_ context.Context, a *worker.Attempt, in input) (any, error) {
	a.Phase(in.Phase)
	defer a.Phase("")
	span := syscall.NsecToTimespec(seconds(in.S).Nanoseconds())
	return nil, syscall.Nanosleep(&span, nil)
}

// hold keeps a processor busy without a call.
func hold(_ context.Context, _ *worker.Attempt, in input) (any, error) {
	sum := 0
	for end := time.Now().Add(seconds(in.S)); time.Now().Before(end); {
		for n := range 100_000_000 {
			sum += n
		}
	}
	return sum, nil
}

func phases(ctx context.Context, a *worker.Attempt, in input) (any, error) {
	defer a.Phase("")
	for _, name := range []string{"first", "second"} {
		a.Phase(name)
		if err := wait(ctx, in.S/2); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func chatty(ctx context.Context, a *worker.Attempt, in input) (any, error) {
	for n := 1; n <= in.N; n++ {
		a.Progress(float64(n) / float64(in.N))
		if err := wait(ctx, 3/float64(in.N)); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func number(name string, other float64) float64 {
	value, err := strconv.ParseFloat(os.Getenv(name), 64)
	if err != nil {
		return other
	}
	return value
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
