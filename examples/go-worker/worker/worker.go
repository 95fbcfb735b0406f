// Package worker runs handlers for a Muster scheduler: register, heartbeat, accept, report, drain.
package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "muster-go-worker/gen/muster/v1"
)

// Handler runs one attempt. Its result is encoded as JSON. It should return when ctx is done.
type Handler func(ctx context.Context, attempt *Attempt) (any, error)

// Failure is an error with the code and the class that the scheduler decides by. Other errors are retryable.
type Failure struct {
	Code, Message string
	Retryable     bool
	RetryAfter    time.Duration
}

func (f *Failure) Error() string { return f.Message }

// Options of a worker. Startup runs while the worker connects; work comes only when it has returned nil.
type Options struct {
	Addresses                     []string
	ID, Token                     string
	Slots                         int
	Handlers                      map[string]Handler
	Startup                       func() error
	RegisterTimeout, DrainTimeout time.Duration
}

// Attempt is what a handler works on.
type Attempt struct {
	*pb.Assignment
	worker                        *Worker
	cancel                        context.CancelFunc
	events                        []*pb.TaskEvent  // all: they are sent again on every new stream, with the same numbers
	queued                        *pb.TaskProgress // waits to be written: a newer report replaces it
	chunks                        int64
	phase                         string
	received, phaseStart, ended   time.Time
	cancelling, timedOut, revoked bool
	result                        *pb.TaskResult
}

// Worker holds the attempts. Everything below mu is read and written under it.
type Worker struct {
	Options
	session                 string
	started                 time.Time
	exit                    chan int
	mu                      sync.Mutex
	attempts                map[string]*Attempt
	phases                  []*pb.StartupPhase
	ready, draining, paused bool
	welcome                 *pb.Welcome // the last one; nil before the registration
	stream                  *stream     // nil while there is none
	sequence                int64       // of heartbeats
	lastErr                 string
}

// Run returns the exit code of the process.
func Run(options Options) int {
	w := &Worker{Options: options, session: uuid.NewString(), started: time.Now(), exit: make(chan int, 8), attempts: map[string]*Attempt{}}
	w.phase("boot", "")
	watchdog := time.AfterFunc(w.RegisterTimeout, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.welcome == nil {
			slog.Error("worker.startup.phase", "phase", "startup_timeout_unregistered", "last_error", w.lastErr)
			w.exit <- 1
		}
	})
	defer watchdog.Stop()
	go w.connect()
	go w.start()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	for {
		select {
		case code := <-w.exit:
			return code
		case got := <-signals:
			w.mu.Lock()
			second, idle := w.draining, !w.ready
			w.mu.Unlock()
			if second || idle {
				return 128 + int(got.(syscall.Signal))
			}
			go w.drain(got.String(), w.DrainTimeout)
		}
	}
}

func (w *Worker) start() {
	if err := w.Startup(); err != nil {
		w.fatal("startup", err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ready = true
	w.phase("ready", "")
}

// phase records a startup phase and sends it; Hello has those from before the stream.
func (w *Worker) phase(name, detail string) {
	elapsed := time.Since(w.started)
	phase := &pb.StartupPhase{Phase: name, Detail: detail, Elapsed: durationpb.New(elapsed)}
	slog.Info("worker.startup.phase", "phase", name, "elapsed_ms", elapsed.Milliseconds())
	w.phases = append(w.phases, phase)
	w.send(&pb.WorkerMessage{Kind: &pb.WorkerMessage_StartupPhase{StartupPhase: phase}})
}

// fatal reports an error that ends the process, within 3 s.
func (w *Worker) fatal(phase string, err error) {
	slog.Error("worker.fatal", "phase", phase, "error", err)
	w.leave(time.Now().Add(3*time.Second), &pb.WorkerMessage{Kind: &pb.WorkerMessage_WorkerFatal{WorkerFatal: &pb.WorkerFatal{
		Phase: phase, ExceptionClass: fmt.Sprintf("%T", err), ExceptionMessage: err.Error(), ExitCode: 1}}})
	w.exit <- 1
}

// leave sends a last message and half-closes. The end of the stream is the receipt; without one it is sent on the next stream.
func (w *Worker) leave(deadline time.Time, last *pb.WorkerMessage) {
	for time.Now().Before(deadline) {
		w.mu.Lock()
		s := w.stream
		if s != nil {
			s.closing = true
			s.push(last)
		}
		w.mu.Unlock()
		if s == nil {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		select {
		case <-s.ended:
		case <-time.After(time.Until(deadline)):
		}
		return
	}
}

// drain takes nothing new, waits until the results are acknowledged, gives the rest back, and ends the process.
func (w *Worker) drain(reason string, timeout time.Duration) {
	w.mu.Lock()
	w.draining = true
	w.send(&pb.WorkerMessage{Kind: &pb.WorkerMessage_Draining{Draining: &pb.Draining{Reason: reason, Timeout: durationpb.New(timeout)}}})
	w.mu.Unlock()
	w.waitForEmpty(timeout)
	w.mu.Lock()
	for _, a := range w.attempts {
		if a.result == nil && !a.revoked {
			a.cancel()
			w.finish(a, &pb.TaskResult{Outcome: &pb.TaskResult_Released{Released: &pb.Released{Reason: "drain"}}})
		}
	}
	w.mu.Unlock()
	w.waitForEmpty(5 * time.Second)
	w.leave(time.Now().Add(3*time.Second), &pb.WorkerMessage{Kind: &pb.WorkerMessage_Goodbye{Goodbye: &pb.Goodbye{Reason: "finished"}}})
	w.exit <- 0
}

func (w *Worker) waitForEmpty(limit time.Duration) {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		w.mu.Lock()
		left := 0
		for _, a := range w.attempts {
			if !a.revoked {
				left++
			}
		}
		w.mu.Unlock()
		if left == 0 {
			return
		}
	}
}

// assign accepts or rejects. The acceptance is queued before the handler is called.
func (w *Worker) assign(assignment *pb.Assignment) {
	id := assignment.AttemptId
	if held := w.attempts[id]; held != nil { // sent twice: accepted again, run once
		w.report(held)
		return
	}
	reject := func(reason pb.RejectionReason) {
		w.send(&pb.WorkerMessage{Kind: &pb.WorkerMessage_TaskRejected{TaskRejected: &pb.TaskRejected{AttemptId: id, Reason: reason}}})
	}
	handler := w.Handlers[assignment.TaskType]
	busy := 0
	for _, a := range w.attempts {
		if a.ended.IsZero() {
			busy++
		}
	}
	switch {
	case handler == nil:
		reject(pb.RejectionReason_REJECTION_REASON_UNKNOWN_TYPE)
	case w.draining:
		reject(pb.RejectionReason_REJECTION_REASON_DRAINING)
	case w.paused:
		reject(pb.RejectionReason_REJECTION_REASON_PAUSED)
	case busy >= w.Slots:
		reject(pb.RejectionReason_REJECTION_REASON_NO_SLOT)
	default:
		ctx, cancel := context.WithCancel(context.Background())
		a := &Attempt{Assignment: assignment, worker: w, cancel: cancel, received: time.Now(), phaseStart: time.Now()}
		a.events = []*pb.TaskEvent{{AttemptId: id, Sequence: 1, Name: "task.received"}, {AttemptId: id, Sequence: 2, Name: "task.started"}}
		w.attempts[id] = a
		w.report(a)
		if assignment.RunTimeout != nil {
			time.AfterFunc(assignment.RunTimeout.AsDuration(), func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.cancel(id, true)
			})
		}
		go w.run(ctx, a, handler)
	}
}

func (w *Worker) run(ctx context.Context, a *Attempt, handler Handler) {
	output, err := func() (output any, err error) {
		defer func() {
			if panicked := recover(); panicked != nil {
				err = fmt.Errorf("%v\n%s", panicked, debug.Stack())
			}
		}()
		return handler(ctx, a)
	}()
	w.mu.Lock()
	defer w.mu.Unlock()
	a.cancel()
	a.ended = time.Now()
	if a.revoked {
		delete(w.attempts, a.AttemptId)
	} else if a.result == nil {
		w.finish(a, w.outcome(a, output, err))
	}
}

// outcome of a handler that has returned. A value counts unless the run was cancelled or out of time.
func (w *Worker) outcome(a *Attempt, output any, err error) *pb.TaskResult {
	failed := func(f *pb.Failure) *pb.TaskResult { return &pb.TaskResult{Outcome: &pb.TaskResult_Failed{Failed: f}} }
	if a.timedOut {
		return failed(&pb.Failure{FailureClass: pb.FailureClass_FAILURE_CLASS_TIMED_OUT, Code: "TIMED_OUT", Message: "the run timeout has passed"})
	}
	if a.cancelling {
		return &pb.TaskResult{Outcome: &pb.TaskResult_Cancelled{Cancelled: &pb.Cancelled{}}}
	}
	data, encodeErr := json.Marshal(output)
	if err == nil {
		err = encodeErr
	}
	if limit := w.welcome.MaxResultBytes; err == nil && int64(len(data)) > limit {
		err = &Failure{Code: "RESULT_TOO_LARGE", Message: fmt.Sprintf("the result has %d bytes, %d are allowed", len(data), limit)}
	}
	var known *Failure
	switch {
	case err == nil:
		return &pb.TaskResult{Outcome: &pb.TaskResult_Succeeded{Succeeded: &pb.Succeeded{Output: data}}}
	case errors.As(err, &known):
		f := &pb.Failure{FailureClass: pb.FailureClass_FAILURE_CLASS_NON_RETRYABLE, Code: known.Code, Message: known.Message}
		if known.Retryable {
			f.FailureClass = pb.FailureClass_FAILURE_CLASS_RETRYABLE
		}
		if known.RetryAfter > 0 {
			f.RetryAfter = durationpb.New(known.RetryAfter)
		}
		return failed(f)
	default: // the message of an unknown error may hold data of the task: it goes where the task's data goes
		return failed(&pb.Failure{FailureClass: pb.FailureClass_FAILURE_CLASS_RETRYABLE, Code: "HANDLER_ERROR",
			Message: fmt.Sprintf("the handler returned %T", err), Traceback: err.Error()})
	}
}

// finish keeps the result until it is acknowledged.
func (w *Worker) finish(a *Attempt, result *pb.TaskResult) {
	result.AttemptId, a.result = a.AttemptId, result
	w.send(&pb.WorkerMessage{Kind: &pb.WorkerMessage_TaskResults{TaskResults: &pb.TaskResults{Results: []*pb.TaskResult{result}}}})
}

func (w *Worker) cancel(id string, timedOut bool) {
	if a := w.attempts[id]; a != nil && a.result == nil {
		a.cancelling, a.timedOut = true, a.timedOut || timedOut
		a.cancel()
	}
}

// revoke forgets an attempt. Its slot is free when the handler has returned.
func (w *Worker) revoke(id string) {
	if a := w.attempts[id]; a != nil {
		a.revoked = true
		a.cancel()
		if !a.ended.IsZero() {
			delete(w.attempts, id)
		}
	}
}

// Phase names what the handler does from here on; empty ends the phase.
func (a *Attempt) Phase(name string) {
	a.worker.mu.Lock()
	defer a.worker.mu.Unlock()
	if a.phase != "" {
		a.event("task." + a.phase + ".completed")
	}
	a.phase, a.phaseStart = name, time.Now()
	if name != "" {
		a.event("task." + name + ".started")
	}
}

func (a *Attempt) event(name string) {
	event := &pb.TaskEvent{AttemptId: a.AttemptId, Sequence: int64(len(a.events) + 1), Name: name, Elapsed: durationpb.New(time.Since(a.received))}
	a.events = append(a.events, event)
	a.worker.send(&pb.WorkerMessage{Kind: &pb.WorkerMessage_TaskEvent{TaskEvent: event}})
}

// Progress reports the share that is done, 0 to 1. A report that waits to be written is replaced by a newer one.
func (a *Attempt) Progress(share float64) {
	a.worker.mu.Lock()
	defer a.worker.mu.Unlock()
	progress := &pb.Progress{Fraction: &share}
	if a.queued != nil {
		a.queued.Progress, a.queued.ShedCount = progress, a.queued.ShedCount+1
		return
	}
	a.queued = &pb.TaskProgress{AttemptId: a.AttemptId, Progress: progress}
	a.worker.send(&pb.WorkerMessage{Kind: &pb.WorkerMessage_TaskProgress{TaskProgress: a.queued}})
}

// Output sends a part of the result early, at most 64 KiB.
func (a *Attempt) Output(data []byte) {
	a.worker.mu.Lock()
	defer a.worker.mu.Unlock()
	a.chunks++
	a.worker.send(&pb.WorkerMessage{Kind: &pb.WorkerMessage_TaskOutput{TaskOutput: &pb.TaskOutput{AttemptId: a.AttemptId, Sequence: a.chunks, Data: data}}})
}
