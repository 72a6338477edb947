import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { mintApiKey, mintEnrollmentSecret, mintInvitation, mintOperatorToken } from '#credential';
import { startTestInstance, type TestInstance } from '../harness/instance.js';

/** What of an OpenAPI document is needed to fill every field. */
interface Schema {
  $ref?: string;
  type?: string | string[];
  properties?: Record<string, Schema>;
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
}
interface Operation {
  requestBody?: { content: Record<string, { schema: Schema }> };
  parameters?: { name: string; in: string }[];
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

let instance: TestInstance;
let document: Document;
let log = '';
/** Each canary once: the secret part that must be found nowhere, and where it was put. */
const canaries = new Map<string, string>();

beforeAll(async () => {
  instance = await startTestInstance(
    { LOG_LEVEL: 'trace', TOUCHMARK_FAILED_AUTH_PER_ADDRESS: '100000' },
    { write: (line: string) => void (log += line) },
  );
  document = (await instance.api('GET', '/openapi.json')).json<Document & Record<string, unknown>>();
});
afterAll(() => instance.stop());

function canary(where: string): string {
  const made = [mintApiKey('live'), mintApiKey('test'), mintOperatorToken(), mintEnrollmentSecret(), mintInvitation()];
  const { text } = made[canaries.size % made.length]!;
  canaries.set(text.slice(text.lastIndexOf('_') + 1), where);
  return text;
}

/** Paths of every text in a body of this schema: `["audience", "providers", 0]`. */
function textsOf(schema: Schema, depth = 0): (string | number)[][] {
  const target = schema.$ref === undefined ? schema : document.components.schemas[schema.$ref.split('/').at(-1)!]!;
  if (depth > 4) return [];
  const choices = [...(target.anyOf ?? []), ...(target.oneOf ?? [])].flatMap((one) => textsOf(one, depth + 1));
  const own = [target.type].flat().includes('string') ? [[]] : [];
  const members = Object.entries(target.properties ?? {}).flatMap(([name, member]) =>
    textsOf(member, depth + 1).map((rest) => [name, ...rest]),
  );
  const items = target.items === undefined ? [] : textsOf(target.items, depth + 1).map((rest) => [0, ...rest]);
  return [...own, ...members, ...items, ...choices];
}

function bodyWith(at: (string | number)[], value: string): unknown {
  const [first, ...rest] = at;
  if (first === undefined) return value;
  const inner = bodyWith(rest, value);
  return typeof first === 'number' ? [inner] : { [first]: inner };
}

const filled = (route: string): string => route.replaceAll(/\{[a-zA-Z]+\}/g, '019a0000-0000-7000-8000-000000000000');

async function everything(): Promise<string> {
  const secrets = path.join(instance.home, 'secrets');
  const password = (await readFile(path.join(secrets, 'db-superuser'), 'utf8')).trim();
  const client = new pg.Client({
    host: path.join(instance.home, 'pg'),
    user: 'postgres',
    password,
    database: 'touchmark',
  });
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string }>(
      `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where n.nspname in ('touchmark', 'bull') and c.relkind in ('r', 'p') and not c.relispartition`,
    );
    const parts: string[] = [];
    for (const { name } of rows) {
      const { rows: content } = await client.query<{ all: string }>(
        `select coalesce(string_agg(to_jsonb(t)::text, E'\\n'), '') as all from ${name} t`,
      );
      parts.push(`== ${name}`, content[0]!.all);
      // bytea is hex in JSON; the canonical bytes of the audit log are text.
      if (name === 'touchmark.audit' || name === 'touchmark.notices') {
        const column = name.endsWith('audit') ? 'canonical' : 'payload';
        const text = await client.query<{ all: string }>(
          `select coalesce(string_agg(convert_from(${column}, 'UTF8'), E'\\n'), '') as all from ${name}`,
        );
        parts.push(text.rows[0]!.all);
      }
    }
    return parts.join('\n');
  } finally {
    await client.end();
  }
}

describe('a credential put into any input', () => {
  test('of every route reaches no table, no queue, no log line and no metric', async () => {
    let fields = 0;
    for (const [route, item] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(item)) {
        const verb = method.toUpperCase();
        const at = `${verb} ${route}`;
        const schema = operation.requestBody?.content['application/json']?.schema;
        for (const text of schema === undefined ? [] : textsOf(schema)) {
          fields += 1;
          await instance.api(verb, filled(route), bodyWith(text, canary(`${at} ${text.join('.')}`)));
        }
        for (const parameter of (operation.parameters ?? []).filter((one) => one.in === 'query')) {
          fields += 1;
          const value = canary(`${at} ?${parameter.name}`);
          await instance.api(
            verb,
            `${filled(route)}?${parameter.name}=${value}`,
            schema === undefined ? undefined : {},
          );
        }
        if (route.includes('{')) {
          fields += 1;
          const value = canary(`${at} path`);
          await instance.api(verb, route.replaceAll(/\{[a-zA-Z]+\}/g, value), schema === undefined ? undefined : {});
        }
        for (const header of ['idempotency-key', 'user-agent', 'x-request-id', 'cookie', 'traceparent', 'accept']) {
          fields += 1;
          const headers = { [header]: canary(`${at} ${header}`) };
          await instance.api(verb, filled(route), schema === undefined ? undefined : {}, { headers });
        }
        fields += 1;
        await instance.api(verb, filled(route), schema === undefined ? undefined : {}, {
          token: canary(`${at} token`),
        });
      }
    }
    const basic = (user: string, password: string) => ({
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
        'content-type': 'application/pkcs10',
      },
      body: randomBytes(40).toString('base64'),
    });
    for (const operation of ['simpleenroll', 'simplereenroll', 'serverkeygen', 'fullcmc', 'csrattrs']) {
      await instance.est(
        `/.well-known/est/${operation}`,
        basic(canary(`${operation} user`), canary(`${operation} password`)),
      );
      await instance.est(`/.well-known/est/${canary(`${operation} label`)}/${operation}`, basic('x', 'y'));
    }
    await instance.status(`/crl/${canary('crl path')}.crl`);
    await instance.status(`/ocsp/${canary('ocsp path')}`);
    console.info(`${fields} fields, ${canaries.size} canaries`);

    const metrics = (await instance.api('GET', '/metrics')).text;
    const sinks = { tables: await everything(), log, metrics };
    expect(sinks.tables).toContain('authentication.failed');
    expect(sinks.log).toContain('/v1/apps');
    const found: string[] = [];
    for (const [secret, where] of canaries) {
      for (const [sink, text] of Object.entries(sinks)) if (text.includes(secret)) found.push(`${where} in ${sink}`);
    }
    expect(found).toEqual([]);
  }, 120_000);
});
