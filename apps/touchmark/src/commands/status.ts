import type { Command } from 'commander';
import { readFile } from 'node:fs/promises';
import { isAuthorityError } from '#kernel';
import { exchange } from '../client.js';
import { printJson, printLines, table } from '../output.js';
import { readReady, type Ready } from '../ready.js';
import { withExample } from './api-command.js';
import { readConfig } from './local-command.js';

interface PlaneState {
  plane: string;
  url: string;
  ready: boolean;
  /** What the plane says about itself, or why it does not answer. */
  detail: unknown;
}

export function addStatusCommand(program: Command): void {
  withExample(
    program.command('status').description('Whether the instance of TOUCHMARK_HOME runs, and each plane is ready'),
    'status --json',
  )
    .option('--json', 'print as JSON')
    .addHelpText('after', 'Exits with 0 when every plane is ready, 1 otherwise.')
    .action(async ({ json }: { json?: boolean }) => {
      const { home } = readConfig();
      const found = await readReady(home);
      const running = found.state === 'running';
      const planes = running ? await askPlanes(found.ready) : [];
      const { pid, warnings = [] } = running ? found.ready : {};
      if (json === true) printJson({ home, running, ...(running ? { pid, warnings } : {}), planes });
      else if (running) {
        printLines([`Process ${pid} runs on ${home}.`, '', ...table(planes.map(readable), COLUMNS)]);
        if (warnings.length > 0) printLines(['', ...warnings]);
      } else {
        const left = found.state === 'stale' ? ` (process ${found.ready.pid} ended without stopping)` : '';
        printLines([`No instance runs on ${home}${left}: start it with npm start.`]);
      }
      process.exitCode = running && planes.every(({ ready }) => ready) ? 0 : 1;
    });
}

async function askPlanes(ready: Ready): Promise<PlaneState[]> {
  const ca = await readFile(ready.root, 'utf8').catch(() => undefined);
  return Promise.all((['est', 'api', 'status'] as const).map((plane) => askPlane(plane, ready[plane], ca)));
}

async function askPlane(plane: string, url: string, ca: string | undefined): Promise<PlaneState> {
  try {
    const answer = await exchange(new URL('/readyz', url), { ca });
    return { plane, url, ready: answer.status === 200, detail: parsed(answer.text) };
  } catch (error) {
    return { plane, url, ready: false, detail: isAuthorityError(error) ? error.detail : String(error) };
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function readable({ ready, detail, ...rest }: PlaneState): object {
  return { ...rest, state: ready ? 'ready' : 'not ready', detail: ready ? undefined : detail };
}

const COLUMNS = [
  { title: 'plane', member: 'plane' },
  { title: 'state', member: 'state' },
  { title: 'url', member: 'url' },
  { title: 'reason', member: 'detail' },
];
