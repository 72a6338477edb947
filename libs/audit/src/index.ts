export { appendAudit, appendAudits, AUDIT_ACTIONS, auditRow, canonicalAudit } from './append.js';
export type { AuditAction, AuditEntry } from './append.js';
export { canonicalJson } from './canonical.js';
export type { CanonicalValue } from './canonical.js';
