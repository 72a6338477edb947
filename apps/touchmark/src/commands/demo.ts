import type { Command } from 'commander';
import { withExample } from './api-command.js';

export function addDemoCommand(program: Command): void {
  withExample(
    program
      .command('demo')
      .description('Play the whole life of one device and one API key on a temporary instance, each step verified'),
    'demo --keep',
  )
    .option('--keep', 'leave the instance and the files of the device behind, and say where')
    .option('--json', 'print steps, checks and times as JSON at the end')
    .addHelpText('after', 'Exits with 0 only if every step was verified by openssl, or by Node where there is none.')
    .action(async ({ keep = false, json = false }: { keep?: boolean; json?: boolean }) => {
      // Loaded here, with the planes: the other commands need none of it.
      const { runDemo } = await import('../demo/run-demo.js');
      process.exit(await runDemo({ keep, json }));
    });
}
