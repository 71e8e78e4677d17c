package main

const strangerAccount = "somebody-else"
