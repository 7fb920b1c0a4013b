package email

const testDelivery = "01JD3M9ZK6X4Y8W2V5T7R9Q1NB"
