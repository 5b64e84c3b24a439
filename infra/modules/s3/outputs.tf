output "data_bucket_name" {
  description = "Bucket of uploaded data sets."
  value       = aws_s3_bucket.this["data"].id
}

output "artifacts_bucket_name" {
  description = "Bucket of snapshots, models, reports, records and the pointer."
  value       = aws_s3_bucket.this["artifacts"].id
}

output "logs_bucket_name" {
  description = "Bucket of access logs."
  value       = aws_s3_bucket.this["logs"].id
}
