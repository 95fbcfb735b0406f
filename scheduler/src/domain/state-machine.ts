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

  constructor(machine: StateMachine<string, string>, id: string, state: string, transition: string) {
    const allowed = Object.keys(machine.transitions[transition] ?? {});
    super(
      `${machine.name} ${id} is ${state}: the transition "${transition}" is possible only while it is ` +
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
 * @param idOf Gives the id of what is to change, for the error: only then is it formatted.
 * @param of What is to change.
 * @throws ImpossibleTransition
 */
export function nextState<State extends string, Transition extends string, Subject>(
  machine: StateMachine<State, Transition>,
  state: State,
  transition: Transition,
  idOf: (of: Subject) => string,
  of: Subject,
): State {
  const next = machine.transitions[transition][state];
  if (next === undefined) throw new ImpossibleTransition(machine, idOf(of), state, transition);
  return next;
}
