import { mkdir, mkdtemp, readFile, rm, chmod } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadConfig, systemClock } from '#kernel';
import { connectApi } from '../client.js';
import { prepareHome } from '../home.js';
import { startInstance, type Instance } from '../instance.js';
import { createLogger } from '../log.js';
import { listenForStop } from '../stop-signal.js';
import { NodeExaminer } from './examine-with-node.js';
import { OpensslExaminer } from './examine-with-openssl.js';
import type { Examiner } from './examiner.js';
import { Narrator, NotVerified, reasonOf } from './narrator.js';
import { playLife } from './play-life.js';
import { opensslVersion } from './run-openssl.js';

export interface DemoOptions {
  /** Leave home and files behind. */
  keep: boolean;
  json: boolean;
}

/** Plays the demo on an instance of its own and removes everything; the status to exit with. */
export async function runDemo({ keep, json }: DemoOptions): Promise<number> {
  const base = await mkdtemp(path.join(tmpdir(), 'touchmark-demo-'));
  // Postgres, which never runs as root, must be able to pass through to its data.
  await chmod(base, 0o711);
  const files = path.join(base, 'files');
  await mkdir(files, { mode: 0o700 });
  const narrator = new Narrator(systemClock, json);
  const log = createLogger({ level: 'silent', production: true });
  const stop = listenForStop(log, () => undefined);
  const examiner = await findExaminer(files);
  narrator.say(`A temporary instance in ${base}. Independent checks by ${examiner.name}${examiner.limits}.`);
  let instance: Instance | undefined;
  let failure: string | undefined;
  try {
    instance = await start(path.join(base, 'home'));
    await playLife(await workbench(instance, examiner), {
      step: (title, work) => {
        if (stop.isRequested()) throw new NotVerified('it was stopped');
        return narrator.step(title, work);
      },
    });
  } catch (error) {
    failure = reasonOf(error);
  } finally {
    await instance?.stop();
    if (!keep) await rm(base, { recursive: true, force: true });
  }
  narrator.conclude({
    examiner: examiner.name,
    ...(keep && { kept: base }),
    ...(failure !== undefined && { failure }),
  });
  return failure === undefined ? 0 : 1;
}

async function findExaminer(files: string): Promise<Examiner> {
  const version = await opensslVersion(files);
  return version === undefined ? new NodeExaminer() : new OpensslExaminer(version, files);
}

/** Settings of its own: what the environment says concerns an instance that stays. */
async function start(home: string): Promise<Instance> {
  await prepareHome(home);
  const anyPort = { TOUCHMARK_EST_PORT: '0', TOUCHMARK_API_PORT: '0', TOUCHMARK_STATUS_PORT: '0' };
  const config = loadConfig({ TOUCHMARK_HOME: home, ...anyPort, LOG_LEVEL: 'silent' });
  return startInstance({ config, log: createLogger({ level: 'silent', production: true }) });
}

async function workbench({ urls, rootCertificatePath, operatorTokenPath }: Instance, examiner: Examiner) {
  const where = { url: urls.api, tokenFile: operatorTokenPath, ca: rootCertificatePath };
  return {
    urls,
    root: await readFile(rootCertificatePath, 'utf8'),
    api: await connectApi(where, () => ''),
    examiner,
    clock: systemClock,
  };
}
