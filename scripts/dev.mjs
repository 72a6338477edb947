// `npm run dev`: builds on change, layering checked, and restarts the instance after each build.
import { spawn } from 'node:child_process';

const children = [
  spawn('tsc', ['-b', 'tsconfig.build.json', '--watch', '--preserveWatchOutput'], { stdio: 'inherit' }),
  spawn(
    process.execPath,
    ['--watch', '--watch-path=dist', '--enable-source-maps', 'dist/apps/touchmark/src/main.js', 'serve'],
    {
      stdio: 'inherit',
    },
  ),
];
const stop = () => children.forEach((child) => child.kill('SIGTERM'));
process.on('SIGINT', stop);
process.on('SIGTERM', stop);
for (const child of children) child.on('exit', stop);
