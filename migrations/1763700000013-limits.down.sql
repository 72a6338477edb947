drop table failed_attempts, quota_windows, quotas;
