// Package access is the broker's one policy: who may connect, publish and subscribe. It owns the
// users with their passwords, the roles and their topic filters, and the slow-down of failed
// logins. Everything that no grant allows is denied.
//
// It leaves to others: refusing a client id that belongs to another user's session, and checking
// wills and aliases (hooks/delivery asks MayPublish about the resolved topic), ending the sessions
// of a user that changed (Users.OnChange tells whom) and telling clients why they were refused.
//
// # Locks
//
// Users.writing is held while a change is computed and committed, and guards nothing that a login
// reads: logins load the table of users atomically. The locks of the verification cache and of the
// slow-down are leaves and are never held while waiting.
package access
