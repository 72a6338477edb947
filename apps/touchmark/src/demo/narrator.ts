import { isAuthorityError, type Clock } from '#kernel';
import { printJson, printLines } from '../output.js';

/** Something that was checked, and by whom: never by the code under demonstration alone. */
export interface Check {
  what: string;
  by: string;
}

export interface StepReport {
  number: number;
  title: string;
  facts: string[];
  checks: Check[];
  ms: number;
  /** Why the step failed; absent when it did not. */
  failure?: string;
}

/** What a step says while it runs. */
export interface Telling {
  fact(text: string): void;
  verified(what: string, by: string): void;
}

/** A check that did not come out as it should: what was expected and what was seen. */
export class NotVerified extends Error {}

export function expectThat(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new NotVerified(otherwise);
}

/** Numbers the steps, says what they do and what was verified, and remembers it for `--json`. */
export class Narrator {
  private readonly reports: StepReport[] = [];

  constructor(
    private readonly clock: Clock,
    private readonly json: boolean,
  ) {}

  say(...lines: string[]): void {
    if (!this.json) printLines(lines);
  }

  /** Runs one step. A step that fails, or verifies nothing, is reported and ends the demo by throwing. */
  async step<T>(title: string, work: (telling: Telling) => Promise<T>): Promise<T> {
    const report: StepReport = { number: this.reports.length + 1, title, facts: [], checks: [], ms: 0 };
    this.reports.push(report);
    this.say('', `${String(report.number).padStart(2)}. ${title}`);
    const from = this.clock.monotonicMs();
    const telling: Telling = {
      fact: (text) => {
        report.facts.push(text);
        this.say(`    ${text}`);
      },
      verified: (what, by) => {
        report.checks.push({ what, by });
        this.say(`    [ok] ${what}  (${by})`);
      },
    };
    try {
      const value = await work(telling);
      expectThat(report.checks.length > 0, 'the step verified nothing');
      return value;
    } catch (error) {
      report.failure = reasonOf(error);
      this.say(`    [FAILED] ${report.failure}`);
      throw error;
    } finally {
      report.ms = Math.round(this.clock.monotonicMs() - from);
    }
  }

  /** The end: how many steps and checks, and whether everything was verified. */
  conclude(more: { examiner: string; kept?: string; failure?: string }): void {
    const checks = this.reports.reduce((sum, report) => sum + report.checks.length, 0);
    if (this.json) {
      const verified = more.failure === undefined;
      printJson({ verified, ...more, steps: this.reports, checks });
      return;
    }
    const end = more.failure === undefined ? 'every one verified' : `not verified: ${more.failure}`;
    printLines(['', `${this.reports.length} steps, ${checks} checks: ${end}.`]);
    if (more.kept !== undefined) printLines([`Everything is kept in ${more.kept}`]);
  }
}

/** With what lies beneath: whoever runs the demo has no log to look into. */
export function reasonOf(error: unknown): string {
  const reason = isAuthorityError(error) ? error.detail : error instanceof Error ? error.message : String(error);
  const cause: unknown = error instanceof Error ? error.cause : undefined;
  return cause === undefined ? reason : `${reason} (${reasonOf(cause)})`;
}
