/** Said at start and by `status`, so that nobody forgets the setting. */
export const SINGLE_OPERATOR_WARNING =
  'TOUCHMARK_SINGLE_OPERATOR is on: one person alone does what takes two, until there is a second approver (docs/APPROVALS.md).';
