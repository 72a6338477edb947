/** Jest must run on the Node that `npm ci` installed: older ones lack ML-DSA and the TLS behaviour the tests state. */
export default function requireNode24() {
  if (Number(process.versions.node.split('.')[0]) < 24) {
    throw new Error(`Node 24 is needed, this is ${process.version}: run the tests with "npm test".`);
  }
}
