// Command simulator plays messaging platforms, for tests, demonstrations and
// trying Bridgekeeper without accounts.
//
//	:8081  the platforms' APIs      /bot<token>/…, /file/bot<token>/…   (Telegram)
//	                                /v<version>/…, /media/…             (Messenger, Instagram)
//	:8082  control                  /control/…, /healthz
//
// Platforms are packages beside this file; each is a library first (see
// simulator/telegram, simulator/meta) and this program only gives it ports. README.md shows
// the control API with curl.
package main
