# Serves Doorkeeper on the loopback, with the client and the users that the CONFORMANCE_ variables of the environment name, from
# Debian's ruby-doorkeeper, ruby-rails and ruby-sqlite3. Prints its URL and the library's version, then serves until it is killed.
#
# CONFORMANCE_MODE is "on-use", where a refresh token is revoked when the access token that followed it is used, or "at-once".
ENV['DATABASE_URL'] = 'sqlite3::memory:?pool=1'
ENV['RAILS_ENV'] = 'production'

require 'logger'
require 'rails'
require 'action_controller/railtie'
require 'active_record/railtie'
require 'doorkeeper'
require 'webrick'
require 'rack/handler/webrick'

def setting(name) = ENV.fetch("CONFORMANCE_#{name}")

USERS = setting('USERS').split(',')
COUNTS = { presented: 0, codes: 0, reused: 0, refusedLogins: 0, refusedClients: 0, revoked: 0 }
SPENT = Set.new

class User < ActiveRecord::Base; end

Doorkeeper.configure do
  orm :active_record
  access_token_expires_in setting('LIFETIME').to_i.seconds
  use_refresh_token
  grant_flows %w[password authorization_code client_credentials]
  resource_owner_authenticator { User.first }
  resource_owner_from_credentials do
    user = User.find_by(name: params[:username]) if params[:password] == setting('PASSWORD')
    COUNTS[:refusedLogins] += 1 unless user
    user
  end
end

# What is shown to the library, noted on its way.
module NotePresentations
  private

  def validate_token
    COUNTS[:presented] += 1 if client
    COUNTS[:reused] += 1 if client && (SPENT.include?(@refresh_token_parameter) || SPENT.include?(refresh_token&.refresh_token))
    super
  end

  def before_successful_response
    super
    SPENT << refresh_token.refresh_token
  end
end

module NoteCodes
  private

  def validate_grant
    COUNTS[:codes] += 1
    COUNTS[:reused] += 1 if grant&.revoked?
    super
  end
end

module NoteRefusalsAndRevocations
  private

  # authorize_response is made once in a request, and asked for more often.
  def authorize_response
    made = @authorize_response
    super.tap { |said| COUNTS[:refusedClients] += 1 if made.nil? && said.try(:name) == :invalid_client }
  end

  def revoke_token
    COUNTS[:revoked] += 1 if token&.accessible?
    super
  end
end

class Server < Rails::Application
  config.load_defaults 6.1
  config.eager_load = false
  config.hosts.clear
  config.secret_key_base = SecureRandom.hex(32)
  config.logger = Logger.new($stderr)
  config.log_level = :warn
  routes.append do
    use_doorkeeper { skip_controllers :authorizations, :applications, :authorized_applications }
    get '/resource', to: 'resource#show'
    get '/judge/counts', to: 'judge#counts'
    post '/judge/code', to: 'judge#code'
  end
end

class ResourceController < ActionController::API
  before_action :doorkeeper_authorize!

  def show = head(:ok)
end

# What the judge of the run asks for.
class JudgeController < ActionController::API
  # counts: of what was granted the library's own table tells.
  def counts = render(json: COUNTS.merge(granted: Doorkeeper::AccessToken.count))

  # code is the authorization endpoint, where the user has said yes.
  def code
    grant = Doorkeeper::AccessGrant.create!(
      application: Doorkeeper::Application.first, resource_owner_id: User.find_by!(name: params[:user]).id,
      redirect_uri: setting('REDIRECT_URI'), expires_in: 600, scopes: ''
    )
    render plain: grant.plaintext_token
  end
end

Server.initialize!

# The tables that Doorkeeper's generator makes. The column previous_refresh_token decides about the mode.
ActiveRecord::Schema.verbose = false
ActiveRecord::Schema.define do
  create_table(:oauth_applications) do |t|
    t.string :name, :uid, :secret, null: false
    t.text :redirect_uri, null: false
    t.string :scopes, null: false, default: ''
    t.boolean :confidential, null: false, default: true
    t.timestamps
  end
  create_table(:oauth_access_grants) do |t|
    t.references :resource_owner, :application, null: false
    t.string :token, null: false, index: { unique: true }
    t.integer :expires_in, null: false
    t.text :redirect_uri, null: false
    t.datetime :created_at, null: false
    t.datetime :revoked_at
    t.string :scopes, null: false, default: ''
  end
  create_table(:oauth_access_tokens) do |t|
    t.references :resource_owner
    t.references :application, null: false
    t.string :token, null: false, index: { unique: true }
    t.string :refresh_token, index: { unique: true }
    t.integer :expires_in
    t.datetime :revoked_at
    t.datetime :created_at, null: false
    t.string :scopes
    t.string :previous_refresh_token, null: false, default: '' if setting('MODE') == 'on-use'
  end
  create_table(:users) { |t| t.string :name }
end

Doorkeeper::OAuth::RefreshTokenRequest.prepend(NotePresentations)
Doorkeeper::OAuth::AuthorizationCodeRequest.prepend(NoteCodes)
Doorkeeper::TokensController.prepend(NoteRefusalsAndRevocations)
Doorkeeper::Application.create!(
  name: 'conformance', uid: setting('CLIENT_ID'), secret: setting('CLIENT_SECRET'), redirect_uri: setting('REDIRECT_URI')
)
USERS.each { |name| User.create!(name: name) }
ActiveRecord::Base.clear_active_connections! # the one connection there is, which the database in memory lives by

# One request at a time.
app = Rack::Lock.new(Server)
server = WEBrick::HTTPServer.new(
  BindAddress: '127.0.0.1', Port: 0, AccessLog: [], Logger: WEBrick::Log.new($stderr, WEBrick::Log::WARN), DoNotReverseLookup: true
)
server.mount('/', Rack::Handler::WEBrick, app)
$stdout.puts "http://127.0.0.1:#{server.listeners.first.addr[1]} #{Doorkeeper::VERSION::STRING}"
$stdout.flush
trap('TERM') { exit! }
server.start
