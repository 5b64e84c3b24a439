output "state_bucket_name" {
  description = "Bucket of the states."
  value       = aws_s3_bucket.this.id
}
