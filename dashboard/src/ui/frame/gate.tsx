/** Asks for the token before the pages, where the scheduler has one. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useState } from "react";
import { sessionQuery, signIn } from "../../data/session.ts";
import { Problem } from "../forms/problem.tsx";
import { Logo } from "./logo.tsx";

export function Gate({ children }: { children: ReactNode }): ReactNode {
  const { data } = useQuery({
    ...sessionQuery,
    refetchInterval: ({ state }) => (state.data ? false : 2_000),
  });
  // The scheduler may be away when the page is opened: the pages say so.
  return data?.signIn === "required" ? <SignIn /> : children;
}

function SignIn(): ReactNode {
  const client = useQueryClient();
  const [problem, setProblem] = useState("");
  const [waiting, setWaiting] = useState(false);
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const token = new FormData(event.currentTarget).get("token");
    setWaiting(true);
    try {
      await signIn(typeof token === "string" ? token : "");
      await client.resetQueries();
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    } finally {
      setWaiting(false);
    }
  };
  return (
    <main className="sign-in">
      <form className="panel" onSubmit={(event) => void submit(event)}>
        <h1 className="row">
          <Logo /> Sign in to Muster
        </h1>
        <p className="muted">
          This scheduler was started with a token. It is the one that workers and the muster command have in{" "}
          <code>MUSTER_TOKEN</code>.
        </p>
        <label className="field">
          Token
          <input className="input" name="token" type="password" autoComplete="current-password" required />
        </label>
        {problem === "" ? null : <Problem text={problem} />}
        <button type="submit" className="button primary" disabled={waiting}>
          Sign in
        </button>
        <p className="muted small">The session ends with the browser, at the latest after a day.</p>
      </form>
    </main>
  );
}
