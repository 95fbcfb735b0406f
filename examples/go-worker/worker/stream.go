package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "muster-go-worker/gen/muster/v1"
)

const dialLimit = 10 * time.Second

// stream is one connection. queue is unbounded: what is in it is bounded by the attempts held, and progress is replaced.
type stream struct {
	pb.WorkerService_WorkerStreamClient
	queue   []*pb.WorkerMessage
	wake    chan struct{}
	closing bool          // half-close when the queue is written
	ended   chan struct{} // closed when the stream is over
	acked   int64         // the last heartbeat that was acknowledged
	phases  int           // startup phases that Hello had
}

// send queues a message; without a registered stream it is dropped, because a new stream sends all that is held again.
func (w *Worker) send(message *pb.WorkerMessage) {
	if w.stream != nil {
		w.stream.push(message)
	}
}

func (s *stream) push(messages ...*pb.WorkerMessage) {
	s.queue = append(s.queue, messages...)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// connect dials each address in turn, then waits with full jitter, until the worker ends.
func (w *Worker) connect() {
	w.mu.Lock()
	w.phase("scheduler_connecting", "")
	w.mu.Unlock()
	slow := map[string]time.Duration{} // longer limits for addresses that were too slow
	dropped := time.Now()
	for n := 0; ; n++ {
		for _, address := range w.Addresses {
			begun := time.Now()
			limit := w.welcomeLimit(slow[address])
			registered, err := w.runStream(address, limit)
			slog.Warn("worker.dial.failed", "address", address, "error", err, "was_registered", registered)
			if w.ends(err) {
				return
			}
			if registered {
				dropped = time.Now()
				slow = map[string]time.Duration{}
				if time.Since(begun) > time.Minute {
					n = 0
				}
			} else if time.Since(begun) >= limit {
				slow[address] = 2 * limit
			}
		}
		time.Sleep(time.Duration(rand.Int64N(int64(w.backoff(n, time.Since(dropped))))))
	}
}

// welcomeLimit is short while attempts can still be kept: another scheduler may answer in time.
func (w *Worker) welcomeLimit(longer time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.welcome == nil {
		return max(longer, dialLimit)
	}
	grace, lease := w.welcome.ReconnectGrace.AsDuration(), w.welcome.Lease.AsDuration()
	return min(max(longer, grace/4), (grace+lease)/3)
}

func (w *Worker) backoff(n int, away time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.welcome == nil {
		return min(250*time.Millisecond<<min(n, 7), 1500*time.Millisecond)
	}
	grace, lease := w.welcome.ReconnectGrace.AsDuration(), w.welcome.Lease.AsDuration()
	limit := min(30*time.Second, time.Second<<min(n, 5))
	if away < grace+lease && len(w.attempts) > 0 {
		return min(limit, grace/4)
	}
	return min(limit, lease/2)
}

// ends is true for a verdict before the first registration, and when a newer stream has taken the place of this one.
func (w *Worker) ends(err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lastErr = err.Error()
	switch status.Code(err) {
	case codes.Unauthenticated, codes.PermissionDenied, codes.FailedPrecondition, codes.InvalidArgument, codes.Unimplemented:
		if w.welcome != nil {
			return false
		}
	case codes.Aborted:
		superseded := false
		for _, detail := range status.Convert(err).Details() {
			info, ok := detail.(*errdetails.ErrorInfo)
			superseded = superseded || ok && info.Domain == "muster" && info.Reason == "WORKER_SUPERSEDED"
		}
		if !superseded {
			return false
		}
	default:
		return false
	}
	slog.Error("worker.refused", "error", err)
	w.exit <- 1
	return true
}

// runStream returns when the stream has ended, and whether it was registered.
func (w *Worker) runStream(address string, limit time.Duration) (registered bool, err error) {
	// A connection of its own: a shared one would keep the waits of gRPC between its dials.
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		return false, err
	}
	defer connection.Close()
	ctx, drop := context.WithCancelCause(context.Background())
	defer drop(nil)
	defer func() {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
	}()
	tooSlow := time.AfterFunc(limit, func() { drop(fmt.Errorf("%s sent no Welcome within %s", address, limit)) })
	defer tooSlow.Stop()
	if w.Token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+w.Token)
	}
	client, err := pb.NewWorkerServiceClient(connection).WorkerStream(ctx)
	if err != nil {
		return false, err
	}
	s := &stream{WorkerService_WorkerStreamClient: client, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	client.Send(&pb.WorkerMessage{Kind: &pb.WorkerMessage_Hello{Hello: w.hello(s)}}) // Recv has the status when it fails
	first, err := client.Recv()
	if err != nil {
		return false, err
	}
	if !tooSlow.Stop() || first.GetWelcome() == nil {
		return false, fmt.Errorf("the first message is %T, Welcome is expected", first.Kind)
	}
	w.register(s, first.GetWelcome())
	defer func() {
		w.mu.Lock()
		w.stream = nil
		w.mu.Unlock()
		close(s.ended)
	}()
	go w.write(ctx, s, drop)
	go w.beat(ctx, s, first.GetWelcome().HeartbeatInterval.AsDuration(), drop)
	for {
		message, err := client.Recv()
		if err != nil {
			return true, err
		}
		w.mu.Lock()
		w.receive(s, message)
		w.mu.Unlock()
	}
}

// register applies the decisions of Welcome and sends all that is held again.
func (w *Worker) register(s *stream, welcome *pb.Welcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.welcome == nil {
		w.phase("registered", welcome.SchedulerId)
	}
	w.welcome, w.stream, w.paused, s.acked = welcome, s, welcome.Pause != nil, w.sequence
	for _, phase := range w.phases[s.phases:] { // those that Hello did not have
		s.push(&pb.WorkerMessage{Kind: &pb.WorkerMessage_StartupPhase{StartupPhase: phase}})
	}
	for _, decision := range welcome.Decisions {
		if !decision.Keep {
			w.revoke(decision.AttemptId)
		} else if decision.Cancelled {
			w.cancel(decision.AttemptId, false)
		}
	}
	for _, a := range w.attempts {
		if !a.revoked {
			w.report(a)
		}
	}
}

// report sends the acceptance of an attempt and what is known of it. The scheduler ignores what it has already.
func (w *Worker) report(a *Attempt) {
	brief := slices.Contains(w.welcome.Features, "brief_starts")
	accepted := &pb.TaskAccepted{AttemptIds: []string{a.AttemptId}}
	if brief {
		accepted.StartedAttemptIds = accepted.AttemptIds
	}
	w.send(&pb.WorkerMessage{Kind: &pb.WorkerMessage_TaskAccepted{TaskAccepted: accepted}})
	for _, event := range a.events {
		if !brief || event.Sequence > 2 {
			w.send(&pb.WorkerMessage{Kind: &pb.WorkerMessage_TaskEvent{TaskEvent: event}})
		}
	}
	if a.result != nil {
		w.send(&pb.WorkerMessage{Kind: &pb.WorkerMessage_TaskResults{TaskResults: &pb.TaskResults{Results: []*pb.TaskResult{a.result}}}})
	}
}

func (w *Worker) receive(s *stream, message *pb.SchedulerMessage) {
	switch kind := message.Kind.(type) {
	case *pb.SchedulerMessage_HeartbeatAck:
		s.acked = kind.HeartbeatAck.Sequence
	case *pb.SchedulerMessage_Assignments:
		for _, assignment := range kind.Assignments.Assignments {
			w.assign(assignment)
		}
	case *pb.SchedulerMessage_ResultAcks:
		for _, ack := range kind.ResultAcks.Acks {
			if a := w.attempts[ack.AttemptId]; a != nil && a.result != nil {
				w.revoke(ack.AttemptId)
			}
		}
	case *pb.SchedulerMessage_CancelAttempt:
		w.cancel(kind.CancelAttempt.AttemptId, kind.CancelAttempt.TimedOut)
	case *pb.SchedulerMessage_RevokeAttempt:
		w.revoke(kind.RevokeAttempt.AttemptId)
	case *pb.SchedulerMessage_Drain:
		timeout := w.DrainTimeout
		if kind.Drain.Timeout != nil {
			timeout = kind.Drain.Timeout.AsDuration()
		}
		go w.drain(kind.Drain.Reason, timeout)
	case *pb.SchedulerMessage_Pause:
		w.paused = true
	case *pb.SchedulerMessage_Resume:
		w.paused = false
	}
}

func (w *Worker) hello(s *stream) *pb.Hello {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.phases = len(w.phases)
	host, _ := os.Hostname()
	cwd, _ := os.Getwd()
	hello := &pb.Hello{ProtocolVersion: 1, WorkerId: w.ID, SessionId: w.session, SdkName: "go-worker", SdkVersion: "0.1.0", Language: "go",
		Host: &pb.HostInfo{Hostname: host, Pid: int32(os.Getpid()), Cwd: cwd, CpuCount: int32(runtime.NumCPU()), Runtime: runtime.Version()},
		Pool: os.Getenv("MUSTER_POOL"), LaunchId: os.Getenv("MUSTER_LAUNCH_ID"), SlotCount: int32(w.Slots), InFlight: w.running(),
		StartupPhases: w.phases, LastError: w.lastErr, Ready: w.ready, Draining: w.draining}
	for taskType := range w.Handlers {
		hello.TaskTypes = append(hello.TaskTypes, &pb.TaskTypeCapacity{TaskType: taskType})
	}
	return hello
}

func (w *Worker) running() (running []*pb.RunningAttempt) {
	for _, a := range w.attempts {
		each := &pb.RunningAttempt{AttemptId: a.AttemptId, Phase: a.phase, PhaseAge: durationpb.New(time.Since(a.phaseStart)),
			ResultPending: a.result != nil && !a.ended.IsZero(), Cancelling: a.cancelling && a.ended.IsZero(), Revoked: a.revoked}
		if a.result != nil && !a.ended.IsZero() {
			each.ResultAge = durationpb.New(time.Since(a.ended))
		}
		running = append(running, each)
	}
	return running
}

// write is the only sender of the stream.
func (w *Worker) write(ctx context.Context, s *stream, drop func(error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		w.mu.Lock()
		queue, closing := s.queue, s.closing
		s.queue = nil
		for _, message := range queue {
			if a := w.attempts[message.GetTaskProgress().GetAttemptId()]; a != nil {
				a.queued = nil // from here on it is not changed any more
			}
		}
		w.mu.Unlock()
		for _, message := range queue {
			if err := s.Send(message); err != nil {
				return // Recv has the status
			}
		}
		if closing {
			s.CloseSend()
		}
	}
}

// beat counts heartbeats without an answer instead of time: a process that was stopped for a while has missed none.
func (w *Worker) beat(ctx context.Context, s *stream, interval time.Duration, drop func(error)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		w.mu.Lock()
		if w.sequence-s.acked > 3 {
			drop(errors.New("more than 3 heartbeats were not acknowledged"))
		}
		w.sequence++
		s.push(&pb.WorkerMessage{Kind: &pb.WorkerMessage_Heartbeat{Heartbeat: &pb.Heartbeat{
			Sequence: w.sequence, SlotCount: int32(w.Slots), Running: w.running()}}})
		w.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}
