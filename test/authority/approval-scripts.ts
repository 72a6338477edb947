import fc from 'fast-check';
import {
  approve,
  createOrganization,
  expireProposals,
  propose,
  reject,
  withdraw,
  type Actor,
  type AuthorityContext,
} from '#authority';
import { isAuthorityError, type Clock } from '#kernel';
import { personRowMac } from '#status';
import { appendStatusChanges, insertPerson, newId, type StatusChange } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { makeBootstrap, makeMachine, makePerson, type Person } from '../harness/people.js';

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const TARGETS = 4;

type Name = 'alice' | 'bob' | 'carol' | 'eve';
type PlayRole = 'admin' | 'approver';
const NAMES: readonly Name[] = ['alice', 'bob', 'carol', 'eve'];

/** Who acts, with what. `person` is the one who answers: for both bootstrap tokens the authority. */
type Player = Name | 'aliceMachine' | 'bobMachine' | 'bootstrap1' | 'bootstrap2' | 'stranger';
const PLAYERS: readonly Player[] = [
  ...NAMES,
  ...(['aliceMachine', 'bobMachine', 'bootstrap1', 'bootstrap2', 'stranger'] as const),
];
const ANSWERS: Readonly<Record<Player, Name | 'authority' | 'stranger'>> = {
  alice: 'alice',
  bob: 'bob',
  carol: 'carol',
  eve: 'eve',
  aliceMachine: 'alice',
  bobMachine: 'bob',
  bootstrap1: 'authority',
  bootstrap2: 'authority',
  stranger: 'stranger',
};
/** Roles that a machine token keeps, whatever its maker has. */
const MACHINES: Partial<Readonly<Record<Player, readonly PlayRole[]>>> = {
  aliceMachine: ['admin', 'approver'],
  bobMachine: ['approver'],
};

interface Proposal {
  by: Player;
  target: number;
  expiresAt: number;
  state: 'proposed' | 'executed' | 'rejected' | 'withdrawn' | 'expired';
  decider: Player | undefined;
  altered: boolean;
}

interface Model {
  roles: Map<Name, Set<PlayRole>>;
  gone: Set<Name>;
  singleOperator: boolean;
  proposals: Proposal[];
}

/** Everything real that a script plays with. */
interface World {
  cast: Cast;
  api: AuthorityContext;
  eve: Person;
  targets: string[];
  ids: { id: string; digest: string }[];
}

const personGood = (m: Model, who: Name | 'authority' | 'stranger'): boolean =>
  who === 'authority' || who === 'stranger' || !m.gone.has(who);

function holds(m: Model, player: Player, role: PlayRole): boolean {
  const who = ANSWERS[player];
  if (!personGood(m, who)) return false;
  if (who === 'authority') return true;
  if (who === 'stranger') return role === 'approver';
  return MACHINES[player]?.includes(role) ?? m.roles.get(who)?.has(role) === true;
}

/** What must come of an approval: the code of the refusal, or what happens. Written from the rules, not from the code. */
function expectedOfApproval(m: Model, p: Proposal, by: Player, digest: Digest, now: number): string {
  if (by in MACHINES) return 'approverMustBePerson';
  if (by === 'stranger') return 'notFound';
  if (p.state === 'executed' && p.decider !== undefined && ANSWERS[p.decider] === ANSWERS[by]) return 'again';
  if (p.state === 'expired' || (p.state === 'proposed' && now >= p.expiresAt)) return 'approvalExpired';
  if (p.state !== 'proposed') return 'approvalDecided';
  if (p.altered || digest === 'wrong') return 'approvalAltered';
  if (ANSWERS[by] === ANSWERS[p.by]) {
    if (!m.singleOperator) return 'samePerson';
    const others = NAMES.filter(
      (one) => one !== ANSWERS[p.by] && personGood(m, one) && m.roles.get(one)?.has('approver'),
    );
    if (others.length > 0) return 'singleOperatorOver';
  }
  if (!holds(m, by, 'approver')) return 'forbidden';
  return holds(m, p.by, 'admin') ? 'executed' : 'proposerGone';
}

const outcomes = new Map<string, number>();
function same(what: string, expected: string, got: string): void {
  const name = `${what} ${got}`;
  outcomes.set(name, (outcomes.get(name) ?? 0) + 1);
  if (expected !== got) throw new Error(`${what}: the model says ${expected}, the product ${got}`);
}

async function codeOf(work: Promise<unknown>, good: string): Promise<string> {
  try {
    await work;
    return good;
  } catch (error) {
    if (isAuthorityError(error)) return error.code;
    throw error;
  }
}

/** Any of those that there are. */
const pick = (m: Readonly<Model>, at: number): Proposal | undefined => m.proposals[at % m.proposals.length];

type Command = fc.AsyncCommand<Model, World>;
type Digest = 'right' | 'wrong' | 'none';

class Propose implements Command {
  constructor(private readonly by: Player) {}
  check = (m: Readonly<Model>) => m.proposals.length < TARGETS;
  async run(m: Model, w: World): Promise<void> {
    const target = m.proposals.length;
    let made: Awaited<ReturnType<typeof propose>> | undefined;
    const parameters = { personId: w.targets[target]!, roles: ['auditor'] };
    const attempt = propose(w.api, w.cast.actor(this.by, w), 'role.grant', parameters).then((p) => (made = p));
    const may = this.by !== 'stranger' && holds(m, this.by, 'admin');
    same('propose', may ? 'proposed' : 'forbidden', await codeOf(attempt, 'proposed'));
    if (made === undefined) return;
    w.ids.push({ id: made.approvalId, digest: made.digest });
    const expiresAt = made.expiresAt.getTime();
    m.proposals.push({ by: this.by, target, expiresAt, state: 'proposed', decider: undefined, altered: false });
  }
  toString = () => `propose(${this.by})`;
}

class Approve implements Command {
  constructor(
    private readonly who: Player | 'proposer',
    private readonly at: number,
    private readonly digest: Digest,
  ) {}
  check = (m: Readonly<Model>) => m.proposals.length > 0;
  async run(m: Model, w: World): Promise<void> {
    const p = pick(m, this.at)!;
    const by = this.who === 'proposer' ? p.by : this.who;
    const { id, digest } = w.ids[p.target]!;
    const expected = expectedOfApproval(m, p, by, this.digest, w.cast.now());
    const sent = this.digest === 'none' ? undefined : this.digest === 'right' ? digest : 'f'.repeat(64);
    const got = await codeOf(
      approve(w.api, w.cast.actor(by, w), id, { digest: sent }),
      expected === 'again' ? 'again' : 'executed',
    );
    same('approve', expected, got);
    if (got === 'executed') Object.assign(p, { state: 'executed', decider: by });
  }
  toString = () => `approve(${this.who}, ${this.at}, ${this.digest})`;
}

class Close implements Command {
  constructor(
    private readonly by: Player,
    private readonly at: number,
    private readonly how: 'rejected' | 'withdrawn',
  ) {}
  check = (m: Readonly<Model>) => m.proposals.length > 0;
  async run(m: Model, w: World): Promise<void> {
    const p = pick(m, this.at)!;
    const actor = w.cast.actor(this.by, w);
    const expected = this.expected(p, w.cast.now());
    const work = (this.how === 'rejected' ? reject : withdraw)(w.api, actor, w.ids[p.target]!.id);
    const got = await codeOf(work, expected === 'again' ? 'again' : this.how);
    same(this.how, expected, got);
    if (got === this.how) Object.assign(p, { state: this.how, decider: this.by });
  }
  private expected(p: Proposal, now: number): string {
    if (this.how === 'rejected' && this.by in MACHINES) return 'approverMustBePerson';
    if (this.by === 'stranger') return 'notFound';
    if (this.how === 'withdrawn' && ANSWERS[this.by] !== ANSWERS[p.by]) return 'notProposer';
    if (p.state === this.how && p.decider !== undefined && ANSWERS[p.decider] === ANSWERS[this.by]) return 'again';
    if (p.state === 'expired' || (p.state === 'proposed' && now >= p.expiresAt)) return 'approvalExpired';
    return p.state === 'proposed' ? this.how : 'approvalDecided';
  }
  toString = () => `${this.how}(${this.by}, ${this.at})`;
}

class Wait implements Command {
  constructor(private readonly minutes: number) {}
  check = () => true;
  run(_: Model, w: World): Promise<void> {
    w.cast.offset += this.minutes * MINUTE_MS;
    return Promise.resolve();
  }
  toString = () => `wait(${this.minutes} min)`;
}

class Sweep implements Command {
  check = () => true;
  async run(m: Model, w: World): Promise<void> {
    await expireProposals(await w.cast.db.context('worker'));
    for (const p of m.proposals) if (p.state === 'proposed' && w.cast.now() >= p.expiresAt) p.state = 'expired';
  }
  toString = () => 'sweep';
}

class ChangeRole implements Command {
  constructor(
    private readonly who: Name,
    private readonly role: PlayRole,
    private readonly status: 'granted' | 'withdrawn',
  ) {}
  check = (m: Readonly<Model>) => !m.gone.has(this.who);
  async run(m: Model, w: World): Promise<void> {
    await w.cast.log([w.cast.change('role', `${w.cast.person(this.who, w).personId}:${this.role}`, this.status)]);
    if (this.status === 'granted') m.roles.get(this.who)?.add(this.role);
    else m.roles.get(this.who)?.delete(this.role);
  }
  toString = () => `${this.status}(${this.who}, ${this.role})`;
}

/** Whoever proposed it loses what it took to propose it. */
class Demote implements Command {
  constructor(private readonly at: number) {}
  check = (m: Readonly<Model>) => NAMES.some((name) => name === pick(m, this.at)?.by && !m.gone.has(name));
  async run(m: Model, w: World): Promise<void> {
    await new ChangeRole(pick(m, this.at)!.by as Name, 'admin', 'withdrawn').run(m, w);
  }
  toString = () => `demote(${this.at})`;
}

/** For good: only of the one who is made anew for each script. */
class Remove implements Command {
  check = (m: Readonly<Model>) => !m.gone.has('eve');
  async run(m: Model, w: World): Promise<void> {
    await w.cast.log([w.cast.change('person', w.eve.personId, 'revoked')]);
    m.gone.add('eve');
  }
  toString = () => 'remove(eve)';
}

const ALTERATIONS = [
  `proposal = convert_to(replace(convert_from(proposal, 'UTF8'), '"auditor"', '"admin"'), 'UTF8')`,
  `proposer_person = gen_random_uuid()`,
  `proposer = 'operator:x'`,
  `proposed_at = proposed_at + interval '5 min', expires_at = expires_at + interval '5 min'`,
  `operation = 'person.invite'`,
  `subject = 'person:y'`,
  `mac = sha256(mac)`,
] as const;

/** With every trigger off, as who has the server in his hands. */
class Alter implements Command {
  constructor(
    private readonly at: number,
    private readonly how: number,
  ) {}
  check = (m: Readonly<Model>) => pick(m, this.at)?.state === 'proposed';
  async run(m: Model, w: World): Promise<void> {
    const p = pick(m, this.at)!;
    await w.cast.db.tamper(`update approvals set ${ALTERATIONS[this.how]} where id = $1`, [w.ids[p.target]!.id]);
    p.altered = true;
    const [row] = await w.cast.db.sql<{ at: Date; person: string }>(
      'select expires_at as at, proposer_person as person from approvals where id = $1',
      [w.ids[p.target]!.id],
    );
    p.expiresAt = row!.at.getTime();
    // Whom the row names now as its proposer is nobody: he cannot withdraw it either.
    if (this.how === 1) p.by = 'stranger';
  }
  toString = () => `alter(${this.at}, ${this.how})`;
}

/** The people and tokens that all scripts share. */
class Cast {
  offset = 0;
  private lastEve: Person | undefined;
  private constructor(
    readonly db: TestDatabase,
    private readonly fixed: ReadonlyMap<Player, Actor>,
  ) {}

  static async make(): Promise<Cast> {
    let cast: Cast | undefined = undefined as Cast | undefined;
    const clock: Clock = {
      now: () => new Date(Date.now() + (cast?.offset ?? 0)),
      monotonicMs: () => performance.now(),
    };
    const db = await startTestDatabase({ clock });
    const api = await db.context('api');
    const lab = await createOrganization(api, db.operator, { name: 'Lab', kind: 'testing' });
    const [alice, bob, carol] = [await makePerson(db, []), await makePerson(db, []), await makePerson(db, [])];
    cast = new Cast(
      db,
      new Map<Player, Actor>([
        ['alice', alice],
        ['bob', bob],
        ['carol', carol],
        ['aliceMachine', await makeMachine(db, alice, ['admin', 'approver'])],
        ['bobMachine', await makeMachine(db, bob, ['approver'])],
        ['bootstrap1', await makeBootstrap(db)],
        ['bootstrap2', await makeBootstrap(db)],
        ['stranger', await makePerson(db, ['approver'], lab.id)],
      ]),
    );
    return cast;
  }

  now = (): number => this.db.clock.now().getTime();
  actor = (player: Player, w: World): Actor => (player === 'eve' ? w.eve : this.fixed.get(player)!);
  person = (name: Name, w: World): Person => this.actor(name, w) as Person;

  change = (kind: StatusChange['kind'], subject: string, status: string): StatusChange => ({
    ...{ kind, subject, status, at: this.db.clock.now() },
    ...{ reason: null, invalidityDate: null, endsAt: null, issuerId: null, shard: null, notAfter: null },
  });

  async log(changes: StatusChange[]): Promise<void> {
    const owner = await this.db.as('owner');
    const seq = await owner.transaction((tx) => appendStatusChanges(tx, this.db.macKey, changes));
    await (await this.db.context('api')).follower.catchUp(seq);
  }

  /** The world as the model has it at the start of a script: roles as given, a new eve, new people to propose for. */
  async world(m: Model): Promise<World> {
    const owner = await this.db.as('owner');
    const fresh = Array.from({ length: TARGETS + 1 }, () => newId(this.db.clock));
    await owner.transaction(async (tx) => {
      for (const id of fresh) {
        const row = {
          id,
          organizationId: this.db.authorityId,
          name: 'x',
          email: null,
          oidcIssuer: null,
          oidcSubject: null,
        };
        await insertPerson(tx, { ...row, mac: personRowMac(this.db.macKey, row) });
      }
    });
    const [eveId = '', ...targets] = fresh;
    const eve = { ...this.db.operator, id: `person:${eveId}`, personId: eveId };
    const context = await this.db.context('api');
    const api = { ...context, settings: { ...context.settings, singleOperator: m.singleOperator } };
    const world: World = { cast: this, api, eve, targets, ids: [] };
    const roles = NAMES.flatMap((name) =>
      (['admin', 'approver'] as const).map((role) =>
        this.change(
          'role',
          `${this.person(name, world).personId}:${role}`,
          m.roles.get(name)?.has(role) ? 'granted' : 'withdrawn',
        ),
      ),
    );
    const gone = this.lastEve ? [this.change('person', this.lastEve.personId, 'revoked')] : [];
    await this.log([...gone, ...fresh.map((id) => this.change('person', id, 'active')), ...roles]);
    this.lastEve = eve;
    return world;
  }
}

/** What must be true of the database after a script, asked of the log and the trail rather than of the approvals. */
async function checkTraces(m: Model, w: World): Promise<void> {
  const { db } = w.cast;
  const trail = await db.sql<{ subject: string; actor: string; canonical: Buffer; at: Date }>(
    `select subject, actor, canonical, at from audit where action = 'approval.executed' and outcome = 'success' and subject = any($1)`,
    [w.ids.map(({ id }) => `approval:${id}`)],
  );
  const used = await db.sql<{ subject: string }>(
    `select subject from audit where action = 'singleOperator.used' and subject = any($1)`,
    [w.ids.map(({ id }) => `approval:${id}`)],
  );
  for (const [at, p] of m.proposals.entries()) {
    const { id } = w.ids[at]!;
    const grants = await db.sql(
      `select 1 from status_changes where kind = 'role' and status = 'granted' and split_part(subject, ':', 1) = $1`,
      [w.targets[p.target]],
    );
    const entries = trail.filter(({ subject }) => subject === `approval:${id}`);
    const wanted = p.state === 'executed' ? 1 : 0;
    if (grants.length !== wanted || entries.length !== wanted) throw new Error(`${id}: done ${grants.length} times`);
    for (const { canonical, at: done } of entries) {
      const { detail } = JSON.parse(canonical.toString()) as { detail: Record<string, string> };
      const alone = detail['proposerPerson'] === detail['deciderPerson'];
      if (alone !== used.some(({ subject }) => subject === `approval:${id}`))
        throw new Error(`${id}: by one person, untold`);
      if (alone && !m.singleOperator) throw new Error(`${id}: one person did it alone`);
      if (done.getTime() >= p.expiresAt || done.getTime() < p.expiresAt - HOUR_MS)
        throw new Error(`${id}: out of its hour`);
    }
    const [row] = await db.sql<{ state: string }>('select state from approvals where id = $1', [id]);
    if (row!.state !== p.state) throw new Error(`${id}: ${row!.state}, the model says ${p.state}`);
  }
}

const player = fc.constantFrom(...PLAYERS);
const index = fc.nat({ max: TARGETS - 1 });
const commands = fc.commands(
  [
    player.map((by) => new Propose(by)),
    fc.constantFrom(...(['alice', 'carol', 'eve', 'aliceMachine', 'bootstrap1'] as const)).map((by) => new Propose(by)),
    fc
      .tuple(player, index, fc.constantFrom<Digest>('right', 'right', 'none', 'wrong'))
      .map(([by, at, digest]) => new Approve(by, at, digest)),
    fc.tuple(fc.constantFrom(...NAMES), index).map(([by, at]) => new Approve(by, at, 'right')),
    fc.tuple(fc.constantFrom(...NAMES), index).map(([by, at]) => new Approve(by, at, 'none')),
    fc.tuple(player, index).map(([by, at]) => new Close(by, at, 'rejected')),
    fc.tuple(player, index).map(([by, at]) => new Close(by, at, 'withdrawn')),
    fc.constantFrom(1, 10, 30, 59, 60, 61).map((minutes) => new Wait(minutes)),
    fc.constant(new Sweep()),
    fc
      .tuple(
        fc.constantFrom(...NAMES),
        fc.constantFrom<PlayRole>('admin', 'approver'),
        fc.constantFrom<'granted' | 'withdrawn'>('granted', 'withdrawn'),
      )
      .map(([who, role, status]) => new ChangeRole(who, role, status)),
    index.map((at) => new Approve('proposer', at, 'right')),
    index.map((at) => new Demote(at)),
    fc.constant(new Remove()),
    fc.tuple(index, fc.nat({ max: ALTERATIONS.length - 1 })).map(([at, how]) => new Alter(at, how)),
  ],
  { maxCommands: 24, size: 'max' },
);
const roleSet = fc.constantFrom<PlayRole[]>(['admin', 'approver'], ['admin', 'approver'], ['approver'], ['admin'], []);

export interface ScriptReport {
  scripts: number;
  seed: number;
  steps: number;
  /** How often each came out, both of the model and of the product. */
  outcomes: Readonly<Record<string, number>>;
}

/**
 * Plays generated scripts against a real database and against the model: people, tokens, roles, times and alterations in any
 * order. Throws with the shortest script that it finds when the two differ once, or a trace of something illegal is left.
 */
export async function playScripts(plan: { scripts: number; seed: number }): Promise<ScriptReport> {
  outcomes.clear();
  const cast = await Cast.make();
  try {
    const property = fc.asyncProperty(
      fc.boolean(),
      fc.tuple(roleSet, roleSet, roleSet, roleSet),
      commands,
      async (singleOperator, sets, script) => {
        const roles = new Map(NAMES.map((name, at) => [name, new Set(sets[at])]));
        const model: Model = { roles, gone: new Set(), singleOperator, proposals: [] };
        const real = await cast.world(model);
        await fc.asyncModelRun(() => ({ model, real }), script);
        await checkTraces(model, real);
      },
    );
    await fc.assert(property, { numRuns: plan.scripts, seed: plan.seed, endOnFailure: false });
  } finally {
    await cast.db.stop();
  }
  const told = Object.fromEntries([...outcomes].sort(([one], [other]) => (one < other ? -1 : 1)));
  const steps = Object.values(told).reduce((sum, n) => sum + n, 0);
  return { scripts: plan.scripts, seed: plan.seed, steps, outcomes: told };
}
