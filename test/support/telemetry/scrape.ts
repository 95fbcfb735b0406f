/** Reads the text form of Prometheus metrics. */
import assert from "node:assert/strict";

/** One sample of a scrape. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const SAMPLE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** What `/metrics` says, parsed by the rules of the text format. */
export class Scrape {
  readonly text: string;
  readonly samples: readonly Sample[];

  constructor(text: string) {
    this.text = text;
    this.samples = text
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => {
        const match = SAMPLE.exec(line);
        assert.ok(match, `not a sample: ${line}`);
        const [, name = "", labels = "", value = ""] = match;
        return {
          name,
          labels: Object.fromEntries([...labels.matchAll(LABEL)].map(([, key, text]) => [key, text])),
          value: value === "+Inf" ? Number.POSITIVE_INFINITY : Number(value),
        };
      });
  }

  /** @param http `http://host:port` of a scheduler or worker. */
  static async of(http: string): Promise<Scrape> {
    const response = await fetch(`${http}/metrics`);
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return new Scrape(text);
  }

  /** Names of all samples, those of buckets among them. */
  get names(): Set<string> {
    return new Set(this.samples.map(({ name }) => name));
  }

  /** Sum of the samples that carry these labels. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const wanted = Object.entries(labels);
    return this.samples
      .filter((sample) => sample.name === name && wanted.every(([key, text]) => sample.labels[key] === text))
      .reduce((total, { value }) => total + value, 0);
  }
}
