/** Circuits: what was counted, the last failures, the next probe, open and reset. */
import { type Circuit, CircuitState } from "@muster/protocol";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useLive } from "../../data/live.ts";
import { fleet } from "../../data/transport.ts";
import { compact, durationMs, plural, span } from "../../format/span.ts";
import type { Look } from "../../format/worker-state.ts";
import { Action } from "../../ui/action.tsx";
import { Answer } from "../../ui/answer.tsx";
import { Badge } from "../../ui/badge.tsx";
import { Copyable } from "../../ui/copy.tsx";
import { FieldsAction } from "../../ui/forms/fields-action.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Table } from "../../ui/table.tsx";
import { Ago } from "../../ui/time.tsx";

const CIRCUITS_MS = 2_000;
const SHOWN = 200;

/** Longest time that a circuit is opened for, seconds. */
const MAX_OPEN_S = 366 * 86_400;

const LOOKS: Readonly<Record<CircuitState, Look>> = {
  [CircuitState.UNSPECIFIED]: { word: "unknown", tone: "plain" },
  [CircuitState.CLOSED]: { word: "closed", tone: "good" },
  [CircuitState.OPEN]: { word: "open", tone: "bad" },
  [CircuitState.HALF_OPEN]: { word: "half-open", tone: "warn" },
};

export function Circuits({ only }: { only: string }): ReactNode {
  const query = useLive(
    ["circuits", only],
    (options) => fleet.listCircuits({ pageSize: SHOWN, key: only }, options),
    CIRCUITS_MS,
  );
  return (
    <Answer query={query}>
      {({ circuits, nextPageToken }) => (
        <Panel
          title="Circuits"
          note={
            nextPageToken === "" ? "while one is open, no task with its key starts" : `the first ${SHOWN}`
          }
          flush
        >
          {circuits.length === 0 ? (
            <div className="empty">
              <p className="muted">
                {only === ""
                  ? "No circuit has counted results lately. A task with a circuit stops others while what it calls is down:"
                  : "No circuit of this key has counted results lately, and none is open."}
              </p>
              {only === "" ? (
                <Copyable text="npx muster submit invoice.send '{}' --circuit billing-api" />
              ) : null}
            </div>
          ) : (
            <Table
              headings={[
                "Key",
                "State",
                { title: "Failed", end: true },
                { title: "Active", end: true },
                "Next probe",
                "Last failure",
                { title: "Change", hidden: true },
              ]}
            >
              {circuits.toSorted(byNeed).map((circuit) => (
                <CircuitRow key={circuit.key} circuit={circuit} />
              ))}
            </Table>
          )}
          <p className="foot">
            <FieldsAction
              label="Open a circuit"
              title="Open a circuit"
              consequence="No task with its key starts until it is reset, or until this time has passed; those that run continue."
              fields={[{ name: "key", label: "Key", value: only }, FOR]}
              call={({ key = "", seconds = "" }, reason) => openCircuit(key, seconds, reason)}
            />
          </p>
        </Panel>
      )}
    </Answer>
  );
}

const FOR = {
  name: "seconds",
  label: "For how many seconds; empty until it is reset",
  value: "",
  bounds: [1, MAX_OPEN_S],
  optional: true,
} as const;

function openCircuit(key: string, seconds: string, reason: string): Promise<unknown> {
  const openFor = seconds === "" ? {} : { openFor: { seconds: BigInt(seconds) } };
  return fleet.openCircuit({ key, reason, ...openFor });
}

/** Those that are not closed first. */
function byNeed(a: Circuit, b: Circuit): number {
  const rank = ({ state }: Circuit) => (state === CircuitState.CLOSED ? 1 : 0);
  return rank(a) - rank(b) || a.key.localeCompare(b.key);
}

function CircuitRow({ circuit }: { circuit: Circuit }): ReactNode {
  const { key, state, stateTime, succeededCount, failedCount, failures, probeTime, rule, openReason } =
    circuit;
  const { word, tone } = LOOKS[state] ?? LOOKS[CircuitState.UNSPECIFIED];
  const counted = succeededCount + failedCount;
  const window = durationMs(rule?.window);
  const [last] = failures;
  const task = last?.attemptId.replace(/\.\d+$/, "") ?? "";
  return (
    <tr>
      <td className="key">{key}</td>
      <td className="limits-text">
        <Badge tone={tone}>{word}</Badge>
        <div className="muted small">
          since <Ago time={stateTime} />
          {openReason === "" ? null : `: ${openReason}`}
        </div>
      </td>
      <td className="end">
        {counted === 0n ? "–" : `${compact(failedCount)} of ${compact(counted)}`}
        {window === undefined ? null : (
          <div className="muted small">
            within {span(window)}
            {circuit.openCount > 1 ? `, opened ${plural(circuit.openCount, "time")} in a row` : ""}
          </div>
        )}
      </td>
      <td className="end">{compact(circuit.activeCount)}</td>
      <td className="nowrap">
        {state === CircuitState.OPEN ? (
          probeTime ? (
            <Ago time={probeTime} />
          ) : (
            "when it is reset"
          )
        ) : state === CircuitState.HALF_OPEN ? (
          `${circuit.probeSuccessCount} of ${rule?.probes || 1} succeeded`
        ) : (
          <span className="muted">–</span>
        )}
      </td>
      <td className="limits-text">
        {last ? (
          <>
            <Link to="/tasks/$id" params={{ id: task }} className="mono">
              {last.attemptId}
            </Link>{" "}
            <code>{last.code}</code> <Ago time={last.time} />
            <div className="message">{last.message}</div>
          </>
        ) : (
          <span className="muted">–</span>
        )}
      </td>
      <td className="end">
        {state === CircuitState.CLOSED ? null : (
          <Action
            key="reset"
            label="Reset"
            title={`Close the circuit ${key}`}
            consequence="It is closed, and what it counted is forgotten: tasks with it start again."
            call={(reason) => fleet.resetCircuit({ key, reason })}
          />
        )}
        {state === CircuitState.OPEN ? null : (
          <FieldsAction
            key="open"
            label="Open"
            title={`Open the circuit ${key}`}
            consequence="No task with it starts; tasks that run continue, and their results do not count."
            fields={[FOR]}
            call={({ seconds = "" }, reason) => openCircuit(key, seconds, reason)}
          />
        )}
      </td>
    </tr>
  );
}
