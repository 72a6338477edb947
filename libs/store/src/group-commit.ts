import { isAuthorityError } from '#kernel';
import type { Tx } from './database.js';

/** One statement for many callers: answers in the order of what they asked. Its own transaction; all of them or none. */
export type GroupedStatement<Asked, Answer> = (tx: Tx, asked: readonly Asked[]) => Promise<readonly Answer[]>;

const LARGEST = 32;
/** A group that waits for a row lock does not hold up everybody: after so long the next one goes beside it. */
const STALLED_MS = 20;

interface Waiting<Asked, Answer> {
  asked: Asked;
  resolve: (answer: Answer) => void;
  reject: (error: unknown) => void;
}

/**
 * Callers that come while others are under way go together afterwards, as one statement with one commit: what is paid once for
 * each statement is shared by all who came at the same time, and nobody waits who comes alone.
 */
class GroupCommit<Asked, Answer> {
  private readonly waiting: Waiting<Asked, Answer>[] = [];
  private newest: object | undefined;

  /** `execute` runs its statement as a transaction of its own. */
  constructor(private readonly execute: (asked: readonly Asked[]) => Promise<readonly Answer[]>) {}

  /** Rejects with what the statement failed with for this caller alone. */
  run(asked: Asked): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ asked, resolve, reject });
      this.next();
    });
  }

  private next(): void {
    if (this.newest !== undefined || this.waiting.length === 0) return;
    const group = this.waiting.splice(0, LARGEST);
    this.newest = group;
    const over = (): void => {
      clearTimeout(stalled);
      if (this.newest !== group) return;
      this.newest = undefined;
      this.next();
    };
    const stalled = setTimeout(over, STALLED_MS);
    void this.together(group).finally(over);
  }

  private async together(group: readonly Waiting<Asked, Answer>[]): Promise<void> {
    try {
      settle(group, await this.execute(group.map(({ asked }) => asked)));
    } catch (error) {
      // A database that is not there is not there for each of them either.
      if (group.length === 1 || isAuthorityError(error, 'unavailable')) for (const one of group) one.reject(error);
      // One that cannot be done does not take the others with it.
      else await Promise.all(group.map((one) => this.alone(one)));
    }
  }

  private async alone(one: Waiting<Asked, Answer>): Promise<void> {
    try {
      settle([one], await this.execute([one.asked]));
    } catch (error) {
      one.reject(error);
    }
  }
}

/** What opens a transaction of one statement; a Database does. */
interface Single {
  single<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
}

/** By database, then by statement; a group asks and answers for itself. */
const groups = new WeakMap<Single, Map<unknown, GroupCommit<unknown, unknown>>>();

/**
 * The answer of `statement` to `asked`, given together with all who ask the same statement of the same database at the same
 * time. Throws what a statement of its own would: what fails for a group is tried for each of it alone, unless the database is
 * not there.
 */
export function together<Asked, Answer>(
  database: Single,
  statement: GroupedStatement<Asked, Answer>,
  asked: Asked,
): Promise<Answer> {
  const ofDatabase = groups.get(database) ?? new Map<unknown, GroupCommit<unknown, unknown>>();
  groups.set(database, ofDatabase);
  let group = ofDatabase.get(statement) as GroupCommit<Asked, Answer> | undefined;
  if (!group) {
    group = new GroupCommit((all: readonly Asked[]) => database.single((tx) => statement(tx, all)));
    ofDatabase.set(statement, group as GroupCommit<unknown, unknown>);
  }
  return group.run(asked);
}

function settle<Asked, Answer>(group: readonly Waiting<Asked, Answer>[], answers: readonly Answer[]): void {
  if (answers.length !== group.length) throw new Error('a grouped statement answers everybody who asked');
  answers.forEach((answer, index) => group[index]?.resolve(answer));
}
