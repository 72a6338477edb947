import { parentPort, workerData } from 'node:worker_threads';
import { inspectCrl, type CrlInspection } from './crl-inspect.js';

parentPort?.postMessage(inspectCrl(workerData as CrlInspection));
