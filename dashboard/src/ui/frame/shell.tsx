/** What surrounds every page. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, Outlet } from "@tanstack/react-router";
import { type ReactNode, useEffect, useState } from "react";
import { sessionQuery, signOut } from "../../data/session.ts";
import { Icon } from "../icons.tsx";
import { Cut, LiveSign } from "./freshness.tsx";
import { Logo } from "./logo.tsx";
import { Nav } from "./nav.tsx";
import { Search } from "./search.tsx";
import { chooseTheme, type ThemeChoice, useThemeChoice } from "./theme.ts";

export function Shell(): ReactNode {
  const [searching, setSearching] = useState(false);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const opens =
        (event.key === "k" && (event.ctrlKey || event.metaKey)) || (event.key === "/" && !isTyping(event));
      if (!opens) return;
      event.preventDefault();
      setSearching(true);
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  return (
    <div className="shell">
      <button type="button" className="skip" onClick={toContent}>
        Skip to the content
      </button>
      <header className="side">
        <Link to="/" className="brand" aria-label="Muster, overview">
          <Logo />
          <span>Muster</span>
        </Link>
        <Nav />
        <Foot />
      </header>
      <div className="main">
        <div className="top">
          <button type="button" className="button search-button" onClick={() => setSearching(true)}>
            <span className="row">
              <Icon name="search" size={14} />
              Find anything
            </span>
            <kbd>Ctrl K</kbd>
          </button>
          <LiveSign />
        </div>
        <Cut />
        <main id="content" className="content" tabIndex={-1}>
          <Outlet />
        </main>
      </div>
      {searching ? <Search onClose={() => setSearching(false)} /> : null}
    </div>
  );
}

function isTyping({ target }: KeyboardEvent): boolean {
  return target instanceof HTMLElement && /^(input|textarea|select)$/i.test(target.tagName);
}

/** No link: the address after `#` names the page. */
function toContent(): void {
  document.getElementById("content")?.focus();
}

const THEMES: Readonly<Record<ThemeChoice, { next: ThemeChoice; label: string }>> = {
  system: { next: "light", label: "Theme: system" },
  light: { next: "dark", label: "Theme: light" },
  dark: { next: "system", label: "Theme: dark" },
};

function Foot(): ReactNode {
  const { data } = useQuery(sessionQuery);
  const client = useQueryClient();
  const { next, label } = THEMES[useThemeChoice()];
  return (
    <div className="foot">
      {data?.readOnly ? <p>Read-only</p> : null}
      <button type="button" className="button quiet" onClick={() => chooseTheme(next)}>
        <Icon name="theme" size={14} />
        {label}
      </button>
      {data?.signIn === "done" ? (
        <button
          type="button"
          className="button quiet"
          onClick={() => void signOut().then(() => client.resetQueries())}
        >
          Sign out
        </button>
      ) : null}
      {data ? <p>Version {data.version}</p> : null}
    </div>
  );
}
