/**
 * Imported before everything else: an older Node lacks ML-DSA and the TLS behaviour the planes rely on, and would fail
 * later and elsewhere.
 */
const NODE_FROM_NPM = ['linux-x64', 'linux-arm64', 'win32-x64'];

/** The line to print on a Node that is too old; undefined on one that will do. */
export function nodeTooOld(version: string, platform: string, arch: string): string | undefined {
  if (Number(version.replace(/^v/, '').split('.')[0]) >= 24) return undefined;
  const advice = NODE_FROM_NPM.includes(`${platform}-${arch}`)
    ? 'run npm ci, then npm start (or npx touchmark): npm ci brings its own Node 24'
    : `npm brings no Node for ${platform}-${arch}: install Node 24 LTS from https://nodejs.org, then run npm ci`;
  return `Touchmark needs Node 24, this is ${version}: ${advice}.`;
}

const complaint = nodeTooOld(process.version, process.platform, process.arch);
if (complaint !== undefined) {
  process.stderr.write(`${complaint}\n`);
  process.exit(1);
}
