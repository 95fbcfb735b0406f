/** State machines as tables of named transitions, and the error of a transition that a table does not have. */

/**
 * A state machine: for each transition the states in which it may happen, each with the state that follows. A
 * transition that keeps the state changes facts only.
 */
export interface StateMachine<State extends string, Transition extends string> {
  /** What has the state, as a noun for messages. */
  readonly name: string;
  readonly initial: State;
  readonly transitions: Readonly<Record<Transition, Readonly<Partial<Record<State, State>>>>>;
}

/**
 * A transition that is not possible in the state. What workers, users and the database send is checked before a
 * transition is called, so that this is a bug of Muster wherever it is thrown.
 */
export class ImpossibleTransition extends Error {
  override readonly name = "ImpossibleTransition";
  readonly machine: string;
  readonly state: string;
  readonly transition: string;

  /** @param subject What was to change, as a noun with its id. */
  constructor(machine: StateMachine<string, string>, subject: string, state: string, transition: string) {
    const allowed = Object.keys(machine.transitions[transition] ?? {});
    super(
      `${subject} is ${state}: the transition "${transition}" is possible only while it is ` +
        `${allowed.join(", ") || "in no state"}. This is a bug of Muster; report it with this message`,
    );
    this.machine = machine.name;
    this.state = state;
    this.transition = transition;
  }
}

/**
 * The state that follows the transition.
 *
 * @param subject What is to change, as a noun, and its id: for the error.
 * @throws ImpossibleTransition
 */
export function nextState<State extends string, Transition extends string>(
  machine: StateMachine<State, Transition>,
  state: State,
  transition: Transition,
  subject: string,
  id: string,
): State {
  const next = machine.transitions[transition][state];
  if (next === undefined) throw new ImpossibleTransition(machine, `${subject} ${id}`, state, transition);
  return next;
}
