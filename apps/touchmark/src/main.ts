import './require-node24.js';

// Loaded dynamically: an older Node would fail to link the rest before the check above could speak.
const { runProgram } = await import('./program.js');
await runProgram(process.argv);
