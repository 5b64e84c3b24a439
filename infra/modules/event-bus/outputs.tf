output "name" {
  description = "Name of the bus."
  value       = aws_cloudwatch_event_bus.this.name
}

output "arn" {
  description = "ARN of the bus."
  value       = aws_cloudwatch_event_bus.this.arn
}

output "archive_arn" {
  description = "ARN of the archive, for a replay."
  value       = aws_cloudwatch_event_archive.this.arn
}

output "dead_letter_queue_name" {
  description = "Where events go that the bus can't encrypt or decrypt."
  value       = aws_sqs_queue.dead_letters.name
}
