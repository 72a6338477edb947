import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { ApiCall, TestInstance } from './instance.js';
import { call, type Call } from './http.js';
import type { Ready } from './process-instance.js';

/** What device tests need of an instance, on one that runs in processes of its own. */
export async function instanceAt(ready: Ready): Promise<TestInstance> {
  const ca = await readFile(ready.root, 'utf8');
  const operator = (await readFile(ready.operatorToken, 'utf8')).trim();
  return {
    api: (method: string, route: string, body?: unknown, options: ApiCall = {}) =>
      call(`${ready.api}${route}`, {
        method,
        headers: { authorization: `Bearer ${operator}`, 'content-type': 'application/json', ...options.headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        tls: { ca },
      }),
    est: (route: string, options: Call = {}) =>
      call(`${ready.est}${route}`, { ...options, tls: { ca, ...options.tls } }),
  } as TestInstance;
}

/** Process ids of the children of `pid` whose command line holds `text`. */
export function childrenOf(pid: number, text: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => readText(`/proc/${name}/status`).includes(`\nPPid:\t${pid}\n`))
    .filter((name) => readText(`/proc/${name}/cmdline`).includes(text))
    .map(Number);
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // Gone meanwhile.
    return '';
  }
}
